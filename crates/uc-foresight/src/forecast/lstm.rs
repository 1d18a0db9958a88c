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
    use std::collections::HashMap;

    use candle_core::{DType, Device, Result as CandleResult, Tensor as Array};
    use candle_nn::{LSTM, LSTMConfig, RNN, VarBuilder};

    use super::*;
    use crate::forecast::{LOOKBACK_STEPS, Tensor};

    type Steps = [[f32; STEP_INPUTS]; LOOKBACK_STEPS];

    /// What candle's cells hold after all steps, with the same weights.
    fn of_candle(weights: &Weights, hidden: usize, steps: &Steps) -> CandleResult<Vec<f32>> {
        let array = |tensor: &Tensor| {
            Array::from_vec(tensor.values.clone(), tensor.shape.clone(), &Device::Cpu)
        };
        let arrays = weights
            .tensors
            .iter()
            .map(|(name, tensor)| Ok((name.clone(), array(tensor)?)))
            .collect::<CandleResult<HashMap<_, _>>>()?;
        let builder = VarBuilder::from_tensors(arrays, DType::F32, &Device::Cpu);
        let lstm = LSTM::new(
            STEP_INPUTS,
            hidden,
            LSTMConfig::default(),
            builder.pp("lstm"),
        )?;
        let shape = (1, LOOKBACK_STEPS, STEP_INPUTS);
        let steps = Array::from_vec(steps.as_flattened().to_vec(), shape, &Device::Cpu)?;
        let states = lstm.seq(&steps)?;
        states[LOOKBACK_STEPS - 1].h().flatten_all()?.to_vec1()
    }

    fn random_weights(hidden: usize, random: &mut fastrand::Rng) -> Weights {
        let mut weights = Weights::default();
        for (name, shape) in [
            ("lstm.weight_ih_l0", vec![4 * hidden, STEP_INPUTS]),
            ("lstm.weight_hh_l0", vec![4 * hidden, hidden]),
            ("lstm.bias_ih_l0", vec![4 * hidden]),
            ("lstm.bias_hh_l0", vec![4 * hidden]),
        ] {
            let count = shape.iter().product();
            let values = (0..count).map(|_| random.f32() - 0.5).collect();
            weights
                .tensors
                .insert(name.to_owned(), Tensor { shape, values });
        }
        weights
    }

    fn assert_as_candle(weights: &Weights, hidden: usize, random: &mut fastrand::Rng) {
        let mut steps = [[0.0; STEP_INPUTS]; LOOKBACK_STEPS];
        for step in &mut steps {
            *step = [16.0 * random.f32() - 8.0, f32::from(random.u8(0..2))];
        }
        let ours = Lstm::of(weights, hidden).unwrap().run(&steps);
        let theirs = of_candle(weights, hidden, &steps).unwrap();
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            // Relative to what a cell can hold, 1, where it holds next to nothing.
            let most = 1e-4 * theirs.abs().max(0.01);
            assert!((ours - theirs).abs() <= most, "{ours} {theirs}");
        }
    }

    #[test]
    fn it_is_the_lstm_that_training_fits() {
        let mut random = fastrand::Rng::with_seed(11);
        let shipped = include_bytes!("../../weights/memory.safetensors");
        let shipped = Weights::read(shipped).unwrap();
        let cells = shipped.tensors["lstm.weight_hh_l0"].shape[1];
        for _ in 0..20 {
            assert_as_candle(&shipped, cells, &mut random);
        }
        for hidden in [1, 2, 7, 32] {
            assert_as_candle(&random_weights(hidden, &mut random), hidden, &mut random);
        }
    }

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
