//! One HTML file with everything in it: text, tables, code, PNG pictures.

use crate::io::atomic;
use crate::{Error, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::path::Path;

const STYLE: &str = "body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; \
                     padding: 0 1rem } \
                     table { border-collapse: collapse; display: block; overflow-x: auto } \
                     td, th { border: 1px solid #ccc; padding: .3rem .6rem; text-align: left; \
                     white-space: nowrap } \
                     img { max-width: 100% } pre { background: #f4f4f4; padding: 1rem; overflow-x: auto }";

/// A page while it grows, from top to bottom. All text is escaped.
pub struct Page(String);

impl Page {
    /// With this title and top heading.
    pub fn new(title: &str) -> Self {
        let title = escaped(title);
        Self(format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
             <style>{STYLE}</style>\n<h1>{title}</h1>\n"
        ))
    }

    /// A heading.
    pub fn heading(&mut self, text: &str) {
        self.0 += &format!("<h2>{}</h2>\n", escaped(text));
    }

    /// A paragraph.
    pub fn paragraph(&mut self, text: &str) {
        self.0 += &format!("<p>{}</p>\n", escaped(text));
    }

    /// Lines as they are.
    pub fn code(&mut self, text: &str) {
        self.0 += &format!("<pre>{}</pre>\n", escaped(text));
    }

    /// A table; every row has as many cells as the header.
    pub fn table(&mut self, header: &[&str], rows: &[impl AsRef<[String]>]) {
        let line = |tag: &str, cells: &mut dyn Iterator<Item = &str>| {
            let cells: String = cells.map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell))).collect();
            format!("<tr>{cells}</tr>\n")
        };
        self.0 += "<table>\n";
        self.0 += &line("th", &mut header.iter().copied());
        for row in rows {
            self.0 += &line("td", &mut row.as_ref().iter().map(String::as_str));
        }
        self.0 += "</table>\n";
    }

    /// A PNG file, embedded.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read.
    pub fn picture(&mut self, path: &Path, alt: &str) -> Result<()> {
        let bytes = std::fs::read(path).map_err(Error::io(path, "cannot read"))?;
        let data = STANDARD.encode(bytes);
        self.0 += &format!("<img alt=\"{}\" src=\"data:image/png;base64,{data}\">\n", escaped(alt));
        Ok(())
    }

    /// Writes the page.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        atomic::write(path, |file| file.write_all(self.0.as_bytes()))
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_pictures_are_inside() {
        let folder = tempfile::tempdir().unwrap();
        let (picture, path) = (folder.path().join("a.png"), folder.path().join("a.html"));
        std::fs::write(&picture, b"PNG").unwrap();
        let mut page = Page::new("a & b");
        page.heading("<h>");
        page.table(&["one", "\"two\""], &[["1 < 2".to_owned(), "x".to_owned()]]);
        page.picture(&picture, "alt").unwrap();
        page.write(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        for part in
            ["<h1>a &amp; b</h1>", "<h2>&lt;h&gt;</h2>", "<td>1 &lt; 2</td>", "<th>&quot;two&quot;</th>"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.contains("data:image/png;base64,UE5H\""), "{text}");
        assert!(matches!(page.picture(&folder.path().join("none"), ""), Err(Error::Io { .. })));
    }
}
