//! Energy: superconductors under liquid nitrogen against copper (M4).
