//! Sums over the samples of one replicate, for one result.

/// Numbers that are summed side by side, so that the order of additions is fixed and fits vector registers.
const LANES: usize = 4;

/// Sums of a result over one replicate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tally {
    /// Samples where it is a number.
    pub(super) finite: u32,
    /// Where it is plus infinity.
    pub(super) infinite: u32,
    /// Where it is minus infinity.
    pub(super) minus_infinite: u32,
    /// Where it is zero over zero.
    pub(super) undefined: u32,
    /// Sum of the differences from the pivot.
    pub(super) sum: f64,
    /// Sum of their squares.
    pub(super) squares: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Tally {
    pub(super) const EMPTY: Self = Self {
        finite: 0,
        infinite: 0,
        minus_infinite: 0,
        undefined: 0,
        sum: 0.0,
        squares: 0.0,
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
    };

    /// Adds values, all of which should be finite. The pivot is a number near them: it keeps the squares from cancelling.
    pub(super) fn add(&mut self, values: &[f64], pivot: f64) {
        let mut sums = [0.0; LANES];
        let mut squares = [0.0; LANES];
        let mut min = [f64::INFINITY; LANES];
        let mut max = [f64::NEG_INFINITY; LANES];
        let (chunks, rest) = values.as_chunks::<LANES>();
        for chunk in chunks {
            for lane in 0..LANES {
                let value = chunk[lane];
                let difference = value - pivot;
                sums[lane] += difference;
                squares[lane] += difference * difference;
                min[lane] = if value < min[lane] { value } else { min[lane] };
                max[lane] = if value > max[lane] { value } else { max[lane] };
            }
        }
        for (lane, &value) in rest.iter().enumerate() {
            let difference = value - pivot;
            sums[lane] += difference;
            squares[lane] += difference * difference;
            min[lane] = min[lane].min(value);
            max[lane] = max[lane].max(value);
        }
        self.finite += values.len() as u32;
        self.sum += sums.iter().sum::<f64>();
        self.squares += squares.iter().sum::<f64>();
        self.min = min.into_iter().fold(self.min, f64::min);
        self.max = max.into_iter().fold(self.max, f64::max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_values() {
        let values: Vec<f64> = (0..21).map(f64::from).collect();
        let mut tally = Tally::EMPTY;
        tally.add(&values, 10.0);
        assert_eq!((tally.finite, tally.sum, tally.squares), (21, 0.0, 770.0));
        assert_eq!((tally.min, tally.max), (0.0, 20.0));
    }

    /// The sums tell: a caller then looks at each value.
    #[test]
    fn what_is_no_number_spoils_the_squares_wherever_it_is() {
        let mut values = vec![1.0; 19];
        for place in 0..19 {
            for odd in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
                values[place] = odd;
                let mut tally = Tally::EMPTY;
                tally.add(&values, 3.0);
                assert!(!tally.squares.is_finite());
            }
            values[place] = 1.0;
        }
    }
}
