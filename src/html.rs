//! HTML, in which whatever comes from outside is text.

/// Writes HTML, and SVG within it. Names of tags and attributes are the program's own; all else is
/// escaped, so that no caller can forget it.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    text: String,
}

/// Attributes of an element, each a name and a value.
pub(crate) type Attributes<'a> = &'a [(&'static str, &'a str)];

impl Writer {
    /// What was written.
    pub fn finish(self) -> String {
        self.text
    }

    /// An element around what is written within.
    pub fn within(
        &mut self,
        tag: &'static str,
        attributes: Attributes<'_>,
        write: impl FnOnce(&mut Self),
    ) {
        self.begin(tag, attributes);
        self.text.push('>');
        write(self);
        self.text.push_str("</");
        self.text.push_str(tag);
        self.text.push('>');
    }

    /// An element with a text.
    pub fn element(&mut self, tag: &'static str, attributes: Attributes<'_>, text: &str) {
        self.within(tag, attributes, |writer| writer.text(text));
    }

    /// An element that has nothing within.
    pub fn empty(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        self.begin(tag, attributes);
        self.text.push_str("/>");
    }

    /// Text, which is nothing but text.
    pub fn text(&mut self, text: &str) {
        self.text.push_str(&escape(text));
    }

    /// Markup that the program has brought along.
    pub fn raw(&mut self, markup: &'static str) {
        self.text.push_str(markup);
    }

    fn begin(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        self.text.push('<');
        self.text.push_str(tag);
        for (name, value) in attributes {
            self.text.push(' ');
            self.text.push_str(name);
            self.text.push_str("=\"");
            self.text(value);
            self.text.push('"');
        }
    }
}

/// Text that is nothing but text.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_that_means_something_is_escaped() {
        assert_eq!(
            escape("<b a=\"1\" c='2'>&amp;"),
            "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;amp;"
        );
    }

    #[test]
    fn what_is_written_is_text_in_values_and_within() {
        let mut writer = Writer::default();
        writer.within("p", &[("title", "\"><script>")], |writer| {
            writer.text("a & b");
            writer.empty("br", &[]);
            writer.element("b", &[], "</b>");
        });
        assert_eq!(
            writer.finish(),
            "<p title=\"&quot;&gt;&lt;script&gt;\">a &amp; b<br/><b>&lt;/b&gt;</b></p>"
        );
    }
}
