//! The terminal as a whole screen, and as it was before: whatever ends the program, the person gets
//! their terminal back.

use std::fs::File;
use std::io::{BufWriter, Write, stdout};
use std::os::fd::AsFd;
use std::panic;
use std::process;
use std::sync::Once;

use anyhow::{Context, Result};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::layout::{Position, Rect};

/// What is drawn goes to a file of its own: standard output may be locked by whoever panics.
type Output = BufWriter<File>;

/// The terminal, as long as this is there.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Output>>,
}

impl Screen {
    /// Takes the terminal over.
    pub fn enter() -> Result<Self> {
        restore_on_panic();
        let backend = CrosstermBackend::new(output().context("opening the terminal")?);
        let terminal = Terminal::new(backend).context("asking for the terminal's size")?;
        // Whatever fails from here on, what was taken is given back.
        let mut screen = Self { terminal };
        screen.enter_again()?;
        Ok(screen)
    }

    /// Takes it over again after [`leave`], or after somebody else has used it.
    pub fn enter_again(&mut self) -> Result<()> {
        take_over().context("taking the terminal over")?;
        self.redraw()
    }

    /// Columns and lines.
    pub fn size(&self) -> Result<(usize, usize)> {
        let size = self.terminal.size();
        let size = size.context("asking for the terminal's size")?;
        Ok((size.width.into(), size.height.into()))
    }

    /// Draws by a function, and sends what has changed.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Buffer)) -> Result<()> {
        let drawn = self.terminal.draw(|frame| draw(frame.buffer_mut()));
        drawn.map(drop).context("drawing")
    }

    /// Has all of it sent with the next drawing.
    pub fn redraw(&mut self) -> Result<()> {
        // Its `clear` would ask the terminal where the cursor is, and wait for an answer.
        let size = self.terminal.size();
        let size = size.context("asking for the terminal's size")?;
        let cleared = self.terminal.resize(Rect::from((Position::ORIGIN, size)));
        cleared.context("clearing the terminal")
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

/// Gives the terminal back. What fails here fails because it is gone.
pub(super) fn leave() {
    if let Ok(mut output) = output() {
        execute!(output, LeaveAlternateScreen, Show).ok();
    }
    disable_raw_mode().ok();
}

fn take_over() -> std::io::Result<()> {
    enable_raw_mode()?;
    let mut output = output()?;
    execute!(output, EnterAlternateScreen, Hide)?;
    output.flush()
}

fn output() -> std::io::Result<Output> {
    let terminal = stdout().as_fd().try_clone_to_owned()?;
    Ok(BufWriter::new(File::from(terminal)))
}

/// What a panic says is to be read, and on whichever thread it is, it is the end: as in a release,
/// where panics abort.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let say = panic::take_hook();
        panic::set_hook(Box::new(move |what| {
            leave();
            say(what);
            process::abort();
        }));
    });
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::thread;

    use super::*;

    #[test]
    #[ignore = "is run by the test below, in a terminal of its own"]
    fn a_screen_on_which_a_thread_panics() {
        let mut screen = Screen::enter().expect("a terminal");
        screen.draw(|_| {}).expect("drawn");
        // As the programs do it, which must not keep what is said from the terminal.
        let _locked = stdout().lock();
        thread::spawn(|| panic!("nothing is wrong"))
            .join()
            .expect_err("the end comes first");
    }

    #[test]
    fn a_panic_on_any_thread_gives_the_terminal_back_first() {
        let test = std::env::current_exe().expect("a path");
        let name = "client::top::screen::tests::a_screen_on_which_a_thread_panics";
        let run = format!(
            "{} --exact {name} --ignored --nocapture; stty -a",
            test.display()
        );
        let output = Command::new("script")
            .args(["-qec", &run, "/dev/null"])
            .stdin(Stdio::null())
            .output()
            .expect("script runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let taken = text.find("\u{1b}[?1049h").expect("it was taken over");
        let given = text.find("\u{1b}[?1049l").expect("it was given back");
        let said = text.find("nothing is wrong").expect("it was said why");
        assert!(taken < given && given < said, "{text}");
        assert!(text[given..].contains("\u{1b}[?25h"), "{text}");
        // What stty says: no sign before it is that it is on.
        let modes = text[said..].replace("\r\n", "\n");
        for mode in [" icanon", " echo ", "\nopost"] {
            assert!(modes.contains(mode), "{mode}: {text}");
        }
    }
}
