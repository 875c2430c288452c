use std::fmt::Write;

/// A text of families, each with help, type and rows.
#[derive(Debug, Default)]
pub(super) struct Text(String);

/// A family that rows are added to.
#[derive(Debug)]
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Text {
    /// Begins a family of figures that go up and down.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        let mut family = self.adding_up(name, help);
        family.write(format_args!("# TYPE memleakd_{name} gauge\n"));
        family
    }

    /// Begins a family of figures that only go up. It has no type, see [`crate::metrics`].
    pub fn adding_up(&mut self, name: &'static str, help: &str) -> Family<'_> {
        let mut family = Family {
            text: &mut self.0,
            name,
        };
        family.write(format_args!("# HELP memleakd_{name} {help}\n"));
        family
    }

    /// The whole text.
    pub fn end(self) -> String {
        self.0 + "# EOF\n"
    }
}

impl Family<'_> {
    /// The family's only figure.
    pub fn value(&mut self, value: f64) {
        self.row(&[], value);
    }

    /// One of its figures.
    pub fn row(&mut self, labels: &[(&str, &str)], value: f64) {
        let name = self.name;
        self.write(format_args!("memleakd_{name}"));
        for (index, (label, text)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let text = escape(text);
            self.write(format_args!("{before}{label}=\"{text}\""));
        }
        let after = if labels.is_empty() { "" } else { "}" };
        // What is no number was never measured.
        let value = if value.is_finite() { value } else { 0.0 };
        self.write(format_args!("{after} {value}\n"));
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        self.text
            .write_fmt(text)
            .expect("a String takes whatever is written");
    }
}

/// The value of a label between its quotes, the same in both formats.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_between_its_quotes() {
        for (text, row) in [
            ("plain", r#"memleakd_x{a="plain"} 1"#),
            ("", r#"memleakd_x{a=""} 1"#),
            (
                "\"} 7\nmemleakd_y 8",
                r#"memleakd_x{a="\"} 7\nmemleakd_y 8"} 1"#,
            ),
            ("back\\", r#"memleakd_x{a="back\\"} 1"#),
            ("größer", r#"memleakd_x{a="größer"} 1"#),
        ] {
            let mut written = Text::default();
            written.gauge("x", "X.").row(&[("a", text)], 1.0);
            assert_eq!(
                written.end(),
                format!("# HELP memleakd_x X.\n# TYPE memleakd_x gauge\n{row}\n# EOF\n")
            );
        }
    }

    #[test]
    fn numbers_are_written_as_both_formats_read_them() {
        for (value, text) in [
            (0.0, "0"),
            (-1.5, "-1.5"),
            (1e21, "1000000000000000000000"),
            (1e-7, "0.0000001"),
            (f64::NAN, "0"),
            (f64::INFINITY, "0"),
        ] {
            let mut written = Text::default();
            written.adding_up("x_total", "X.").value(value);
            assert_eq!(
                written.end(),
                format!("# HELP memleakd_x_total X.\nmemleakd_x_total {text}\n# EOF\n")
            );
        }
    }
}
