//! A long short-term memory, run forward.
//!
//! Gates stand in the order input, forget, cell, output, as in PyTorch and candle, so that weights need no reordering.

use uc_model::Result;

use super::{STEP_INPUTS, Weights};

/// One layer of cells, with its weights transposed: for each input, one number for each gate of each cell, so that the inner
/// loop runs over neighbours.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lstm {
    hidden: usize,
    from_input: Vec<f32>,
    from_hidden: Vec<f32>,
    bias: Vec<f32>,
}

impl Lstm {
    pub(super) fn of(weights: &Weights, hidden: usize) -> Result<Self> {
        let gates = 4 * hidden;
        let from_input = weights.tensor("lstm.weight_ih_l0", &[gates, STEP_INPUTS])?;
        let from_hidden = weights.tensor("lstm.weight_hh_l0", &[gates, hidden])?;
        let bias_input = weights.tensor("lstm.bias_ih_l0", &[gates])?;
        let bias_hidden = weights.tensor("lstm.bias_hh_l0", &[gates])?;
        Ok(Self {
            hidden,
            from_input: transposed(from_input, STEP_INPUTS),
            from_hidden: transposed(from_hidden, hidden),
            bias: bias_input
                .iter()
                .zip(bias_hidden)
                .map(|(one, other)| one + other)
                .collect(),
        })
    }

    /// What the cells hold after all steps.
    pub(super) fn run(&self, steps: &[[f32; STEP_INPUTS]]) -> Vec<f32> {
        let mut hidden = vec![0.0; self.hidden];
        let mut cell = vec![0.0; self.hidden];
        let mut gates = vec![0.0; 4 * self.hidden];
        for step in steps {
            gates.copy_from_slice(&self.bias);
            add_products(&mut gates, step, &self.from_input);
            add_products(&mut gates, &hidden, &self.from_hidden);
            let (input, rest) = gates.split_at(self.hidden);
            let (forget, rest) = rest.split_at(self.hidden);
            let (candidate, output) = rest.split_at(self.hidden);
            for index in 0..self.hidden {
                cell[index] = sigmoid(forget[index]) * cell[index]
                    + sigmoid(input[index]) * tanh(candidate[index]);
                hidden[index] = sigmoid(output[index]) * tanh(cell[index]);
            }
        }
        hidden
    }
}

/// `sums[j] += Σ factors[i] · rows[i][j]`.
pub(super) fn add_products(sums: &mut [f32], factors: &[f32], rows: &[f32]) {
    for (factor, row) in factors.iter().zip(rows.chunks_exact(sums.len())) {
        for (sum, weight) in sums.iter_mut().zip(row) {
            *sum += factor * weight;
        }
    }
}

/// Rows of `columns` numbers as columns of rows.
pub(super) fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len() / columns.max(1);
    (0..values.len())
        .map(|index| values[(index % rows) * columns + index / rows])
        .collect()
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// By way of the exponential, which is quicker than the library's and as exact as forecasts need.
fn tanh(x: f32) -> f32 {
    2.0 * sigmoid(2.0 * x) - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposition_turns_rows_into_columns() {
        assert_eq!(
            transposed(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3),
            [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]
        );
    }

    #[test]
    fn products_are_added_row_by_row() {
        let mut sums = [1.0, 1.0];
        add_products(&mut sums, &[2.0, 3.0], &[10.0, 20.0, 30.0, 40.0]);
        assert_eq!(sums, [111.0, 161.0]);
    }

    #[test]
    fn the_hyperbolic_tangent_is_one() {
        for x in [-20.0f32, -1.0, -0.01, 0.0, 0.5, 3.0, 20.0] {
            assert!((tanh(x) - x.tanh()).abs() < 1e-6, "{x}");
        }
    }
}
