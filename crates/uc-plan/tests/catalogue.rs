//! Catalogue files: what is read, and how what is wrong is refused.

use uc_plan::{Catalogue, catalogue::SHIPPED};

#[test]
fn the_shipped_catalogue_reads() {
    let catalogue = Catalogue::read("2025.toml", SHIPPED).expect("reads");
    assert_eq!(catalogue.technologies.len(), 8);
}
