//! The parts of a container image: name, tag, digest.

/// An image, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) name: String,
    pub(crate) tag: Option<String>,
    pub(crate) digest: Option<String>,
}

impl Image {
    pub(crate) fn parse(text: &str) -> Self {
        let (front, digest) = match text.split_once('@') {
            Some((front, digest)) => (front, Some(digest.to_owned())),
            None => (text, None),
        };
        // A colon before a slash is that of a port.
        let (name, tag) = match front.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            _ => (front, None),
        };
        Self { name: name.to_owned(), tag, digest }
    }
}

impl std::fmt::Display for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Whether a path leads to the image of a container.
pub(crate) fn is_image(path: &[String]) -> bool {
    match path {
        [.., list, _, last] => last == "image" && matches!(list.as_str(), "containers" | "initContainers"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_no_tags() {
        for (text, name, tag, digest) in [
            ("web", "web", None, None),
            ("r.io:5000/web", "r.io:5000/web", None, None),
            ("r.io:5000/web:1.2", "r.io:5000/web", Some("1.2"), None),
            ("web:1@sha256:ab", "web", Some("1"), Some("sha256:ab")),
        ] {
            let image = Image::parse(text);
            assert_eq!(
                (image.name.as_str(), image.tag.as_deref(), image.digest.as_deref()),
                (name, tag, digest)
            );
            assert_eq!(image.to_string(), text);
        }
    }
}
