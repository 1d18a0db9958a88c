//! Money and what is priced with it, so that a price per kilowatt-hour meets only energy and a price per litre only volume.
//!
//! `uom` knows no currencies. Amounts carry no currency either: a scenario has one, and every amount in it is of that.

use std::{
    iter::Sum,
    ops::{Add, Mul, Sub},
};

use uom::si::{
    energy::kilowatt_hour,
    f64::{Energy, Volume},
    volume::liter,
};

/// An amount in the scenario's currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
pub struct Money(f64);

impl Money {
    /// So many units of the currency.
    pub fn new(amount: f64) -> Self {
        Self(amount)
    }

    /// The number of units of the currency.
    pub fn amount(self) -> f64 {
        self.0
    }
}

impl Add for Money {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Money {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Mul<f64> for Money {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        Self(self.0 * factor)
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Add::add)
    }
}

/// Money per energy.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct EnergyPrice(f64);

impl EnergyPrice {
    /// So much money per kilowatt-hour.
    pub fn per_kilowatt_hour(money: f64) -> Self {
        Self(money)
    }

    /// Money per kilowatt-hour.
    pub fn of_kilowatt_hour(self) -> f64 {
        self.0
    }
}

impl Mul<Energy> for EnergyPrice {
    type Output = Money;

    fn mul(self, energy: Energy) -> Money {
        Money(self.0 * energy.get::<kilowatt_hour>())
    }
}

/// Money per volume.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct VolumePrice(f64);

impl VolumePrice {
    /// So much money per litre.
    pub fn per_litre(money: f64) -> Self {
        Self(money)
    }

    /// Money per litre.
    pub fn of_litre(self) -> f64 {
        self.0
    }
}

impl Mul<Volume> for VolumePrice {
    type Output = Money;

    fn mul(self, volume: Volume) -> Money {
        Money(self.0 * volume.get::<liter>())
    }
}
