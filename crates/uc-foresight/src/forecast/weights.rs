//! Weights of a model, as safetensors.

use std::collections::BTreeMap;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use uc_model::{Bytes, Problem, Result};

/// From this size on a model does not run at the edge (red line 5.1).
pub const LARGEST_EDGE_MODEL_BYTES: u64 = 100_000_000;
/// What running it elsewhere adds to each forecast, in milliseconds (source: red line 5.1).
pub const REMOTE_PENALTY_MS: u64 = 200;

/// The entry of a file's metadata that holds the words.
const ABOUT: &str = "about";

/// One tensor: its shape, and its numbers row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// Its numbers.
    pub values: Vec<f32>,
}

/// Tensors by name, and words about them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Weights {
    /// The tensors.
    pub tensors: BTreeMap<String, Tensor>,
    /// What the file says about itself: kind, what it was trained on.
    pub words: BTreeMap<String, String>,
}

impl Weights {
    /// Reads a file's bytes.
    ///
    /// # Errors
    /// When it is too large for the edge (red line 5.1), is no safetensors file, or holds other numbers than finite f32.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        if bytes.len() as u64 >= LARGEST_EDGE_MODEL_BYTES {
            return Err(too_large(bytes.len() as u64));
        }
        let corrupt = |error: safetensors::SafeTensorError| {
            Problem::invalid("the weights are not a sound safetensors file")
                .remedy("train anew with uc foresight train, or leave out --weights to use those of this release")
                .caused_by(error)
        };
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(corrupt)?;
        let file = SafeTensors::deserialize(bytes).map_err(corrupt)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.tensors() {
            tensors.insert(name.clone(), read_tensor(&name, &view)?);
        }
        let about = metadata
            .metadata()
            .as_ref()
            .and_then(|words| words.get(ABOUT));
        Ok(Self {
            tensors,
            // What another program wrote there is not for us.
            words: about
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default(),
        })
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// When a tensor's shape and numbers disagree.
    pub fn write(&self) -> Result<Vec<u8>> {
        let wrong = |error: safetensors::SafeTensorError| {
            Problem::internal("cannot write weights").caused_by(error)
        };
        let bytes: Vec<(&String, &Tensor, Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, tensor)| {
                let bytes = tensor
                    .values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect();
                (name, tensor, bytes)
            })
            .collect();
        let mut views = Vec::new();
        for (name, tensor, bytes) in &bytes {
            views.push((
                name.as_str(),
                TensorView::new(Dtype::F32, tensor.shape.clone(), bytes).map_err(wrong)?,
            ));
        }
        // In one entry: the library writes several in no particular order, and the same weights shall be the same bytes.
        let about = serde_json::to_string(&self.words)
            .map_err(|error| Problem::internal("cannot write weights").caused_by(error))?;
        let words = [(ABOUT.to_owned(), about)].into();
        safetensors::serialize(views, Some(words)).map_err(wrong)
    }

    /// A tensor of a given shape.
    ///
    /// # Errors
    /// When it is missing or has another shape.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<&[f32]> {
        let mismatch = |found: String| {
            Problem::invalid("the weights are of another model")
                .at(name)
                .limit(format!("a tensor of shape {shape:?}"))
                .found(found)
                .remedy("train anew with uc foresight train, or leave out --weights to use those of this release")
        };
        let tensor = self
            .tensors
            .get(name)
            .ok_or_else(|| mismatch("no such tensor".into()))?;
        if tensor.shape != shape {
            return Err(mismatch(format!("{:?}", tensor.shape)));
        }
        Ok(&tensor.values)
    }
}

fn read_tensor(name: &str, view: &TensorView<'_>) -> Result<Tensor> {
    if view.dtype() != Dtype::F32 {
        return Err(Problem::invalid("the weights hold another kind of number")
            .at(name)
            .limit("F32")
            .found(format!("{:?}", view.dtype())));
    }
    let values: Vec<f32> = view
        .data()
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        return Err(
            Problem::invalid("the weights hold something that is no number")
                .at(format!("{name}, number {at}"))
                .limit("finite numbers")
                .found(values[at]),
        );
    }
    Ok(Tensor {
        shape: view.shape().to_vec(),
        values,
    })
}

/// Refuses a model of this many bytes by red line 5.1.
pub fn too_large(bytes: u64) -> Problem {
    Problem::refused("the model is too large to run at the edge (red line 5.1)")
        .limit(format!("less than {}", Bytes(LARGEST_EDGE_MODEL_BYTES)))
        .found(Bytes(bytes))
        .remedy(format!("use a smaller model; running this one elsewhere would add {REMOTE_PENALTY_MS} ms to each forecast"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights() -> Weights {
        let tensor = Tensor {
            shape: vec![2, 3],
            values: vec![1.0, -2.0, 0.5, 3.0, 4.0, 5.5],
        };
        Weights {
            tensors: [("head".to_owned(), tensor)].into(),
            words: [("kind".to_owned(), "LSTM".to_owned())].into(),
        }
    }

    #[test]
    fn weights_survive_being_written_and_read() {
        assert_eq!(
            Weights::read(&weights().write().unwrap()).unwrap(),
            weights()
        );
    }

    #[test]
    fn cut_or_foreign_bytes_are_told_and_never_a_panic() {
        let bytes = weights().write().unwrap();
        for length in 0..bytes.len() {
            assert!(Weights::read(&bytes[..length]).is_err(), "{length}");
        }
        let mut noise = fastrand::Rng::with_seed(3);
        for _ in 0..2_000 {
            let mut damaged = bytes.clone();
            let at = noise.usize(0..damaged.len());
            damaged[at] = noise.u8(..);
            let _ = Weights::read(&damaged);
        }
    }

    #[test]
    fn what_is_no_number_and_what_has_another_shape_is_named() {
        let mut wrong = weights();
        if let Some(tensor) = wrong.tensors.get_mut("head") {
            tensor.values[4] = f32::NAN;
        }
        let problem = Weights::read(&wrong.write().unwrap()).unwrap_err();
        assert_eq!(problem.place(), Some("head, number 4"));
        let problem = weights().tensor("head", &[3, 2]).unwrap_err();
        assert!(problem.to_string().contains("[3, 2]"), "{problem}");
        assert!(weights().tensor("tail", &[1]).is_err());
    }

    #[test]
    fn a_model_of_a_hundred_megabytes_is_refused_with_the_price_of_running_it_elsewhere() {
        let problem = Weights::read(&vec![0; LARGEST_EDGE_MODEL_BYTES as usize]).unwrap_err();
        assert!(problem.to_string().contains("red line 5.1"), "{problem}");
        assert!(problem.remedy_text().unwrap_or_default().contains("200 ms"));
    }
}
