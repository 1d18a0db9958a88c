//! Models in an image: files of the kinds that are loaded whole into memory.

use std::{fs, path::Path};

use uc_redline::Model;

/// What files with weights are named.
const EXTENSIONS: [&str; 10] = [
    "ckpt",
    "ggml",
    "gguf",
    "h5",
    "onnx",
    "pt",
    "pth",
    "safetensors",
    "tflite",
    "weights",
];

/// Most files that are looked at.
const MAX_FILES: usize = 500_000;

/// The largest model in the layers of an image, if there is one. What cannot be read is passed over.
pub(crate) fn largest(layers: &[impl AsRef<Path>]) -> Option<Model> {
    let mut largest: Option<Model> = None;
    let mut files = 0;
    for layer in layers {
        let layer = layer.as_ref();
        let mut directories = vec![layer.to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                files += 1;
                if files > MAX_FILES {
                    return largest;
                }
                let path = entry.path();
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => directories.push(path),
                    Ok(kind) if kind.is_file() && is_model(&path) => {
                        let bytes = entry.metadata().map_or(0, |metadata| metadata.len());
                        if largest.as_ref().is_none_or(|model| model.bytes < bytes) {
                            let inside = path.strip_prefix(layer).unwrap_or(&path);
                            largest = Some(Model {
                                path: format!("/{}", inside.display()),
                                bytes,
                            });
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    largest
}

fn is_model(path: &Path) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_model_is_found_and_named_as_in_the_image() {
        let layer = tempfile::tempdir().expect("a directory");
        let put = |name: &str, bytes: usize| {
            let path = layer.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, vec![0; bytes]).expect("written");
        };
        put("usr/lib/large.so", 10_000);
        assert_eq!(largest(&[layer.path()]), None);
        put("models/small.onnx", 10);
        put("models/llama.GGUF", 20);
        let model = largest(&[layer.path()]).expect("there");
        assert_eq!(
            (model.path.as_str(), model.bytes),
            ("/models/llama.GGUF", 20)
        );
    }
}
