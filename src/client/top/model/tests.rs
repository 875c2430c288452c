use super::acting::MAX_FILTER;
use super::*;
use crate::alert::message::tests::alert;
use crate::bus::Explained;
use crate::client::top::entry::tests::entry;
use crate::client::top::key::Action;
use crate::collect::Capture;

fn answer(listed: Listed, entries: Vec<Entry>) -> Answer {
    Answer::Renewed(Box::new(Renewed {
        status: Status::default(),
        alerts: vec![alert()],
        listed,
        entries,
    }))
}

/// Ten processes, the first of which grows fastest; every third is in a unit. The fifth is that of
/// the alert.
fn entries() -> Vec<Entry> {
    let of = |n: u32| {
        let unit = n.is_multiple_of(3).then_some("web.service");
        let mut entry = entry(100 + n, &format!("process{n}"), f64::from(100 - n), unit);
        if n == 5 {
            entry.alerts = vec![alert().id];
        }
        entry
    };
    (0..10).map(of).collect()
}

/// A model of a screen with room for five processes.
fn model() -> Model {
    let mut model = Model::new(Listed::Pages, Marks::Words);
    model.resize(80, 9);
    model.learn(answer(Listed::Pages, entries()), 1.0);
    model
}

fn selected(model: &Model) -> Option<u32> {
    model.subject().map(|entry| entry.pid)
}

fn act(model: &mut Model, actions: &[Action]) -> Option<Order> {
    let orders = actions.iter().map(|&action| model.act(action, 2.0));
    orders.last().flatten()
}

#[test]
fn one_moves_through_the_list_and_not_out_of_it() {
    for (actions, pid, first) in [
        (&[][..], 100, 0),
        (&[Action::Up], 100, 0),
        (&[Action::Down; 4], 104, 0),
        (&[Action::Down; 5], 105, 1),
        (&[Action::Down; 20], 109, 5),
        (&[Action::Last, Action::Up, Action::Up], 107, 5),
        (&[Action::Last, Action::PageUp], 104, 4),
        (&[Action::PageDown], 105, 1),
        (
            &[Action::PageDown, Action::PageDown, Action::PageDown],
            109,
            5,
        ),
        (&[Action::Last, Action::First], 100, 0),
    ] {
        let mut model = model();
        assert_eq!(model.list_room(), 5);
        act(&mut model, actions);
        assert_eq!(selected(&model), Some(pid), "{actions:?}");
        assert_eq!(model.first(), first, "{actions:?}");
    }
}

#[test]
fn what_is_selected_stays_so_wherever_it_goes() {
    let mut model = model();
    act(&mut model, &[Action::Down, Action::Down]);
    assert_eq!(selected(&model), Some(102));
    // It falls behind all others.
    let mut later = entries();
    later[2].growth = Some(0.0);
    model.learn(answer(Listed::Pages, later), 3.0);
    assert_eq!((selected(&model), model.first()), (Some(102), 5));
    // It ends, and something else is selected.
    let mut without = entries();
    without.remove(2);
    model.learn(answer(Listed::Pages, without), 4.0);
    assert!(selected(&model).is_some_and(|pid| pid != 102));
    // Another process gets its number.
    let mut another = entries();
    act(&mut model, &[Action::First]);
    another[0].start_time += 1;
    another[0].growth = Some(50.0);
    model.learn(answer(Listed::Pages, another), 5.0);
    assert_ne!(selected(&model), Some(100));
    // Nothing at all is there, and then something again.
    model.learn(answer(Listed::Pages, Vec::new()), 6.0);
    assert_eq!(selected(&model), None);
    assert_eq!(act(&mut model, &[Action::Down, Action::Enter]), None);
    model.learn(answer(Listed::Pages, entries()), 7.0);
    assert_eq!(selected(&model), Some(100));
}

#[test]
fn a_filter_works_while_it_is_written_and_is_kept_or_left() {
    let mut model = model();
    let write = |model: &mut Model, text: &str| {
        for c in text.chars() {
            act(model, &[Action::Type(c)]);
        }
    };
    act(&mut model, &[Action::Filter]);
    assert_eq!(model.focus(), Focus::Filter);
    write(&mut model, "web");
    assert_eq!(model.rows().len(), 4);
    act(&mut model, &[Action::Enter]);
    assert_eq!((model.focus(), model.rows().len()), (Focus::List, 4));
    act(&mut model, &[Action::Filter]);
    write(&mut model, "x");
    assert_eq!(model.rows().len(), 0);
    act(&mut model, &[Action::Back]);
    assert_eq!(model.arrangement().filter, "web");
    // In another view it is looked for as well.
    let order = act(&mut model, &[Action::NextView]);
    assert_eq!(order, Some(Order::Renew(Listed::Heap)));
    assert_eq!(model.arrangement().filter, "web");
    act(&mut model, &[Action::PreviousView, Action::Back]);
    assert_eq!(model.rows().len(), 10);
    // What is typed has a bound.
    act(&mut model, &[Action::Filter]);
    write(&mut model, &"a".repeat(1000));
    assert_eq!(model.arrangement().filter.len(), MAX_FILTER);
    act(&mut model, &[Action::EraseAll, Action::Erase]);
    assert_eq!(model.arrangement().filter, "");
}

#[test]
fn a_tree_folds_and_a_folded_unit_stays_selected() {
    let mut model = model();
    act(&mut model, &[Action::Tree, Action::First]);
    assert_eq!(model.rows().len(), 12);
    assert_eq!(selected(&model), None, "a unit is no process");
    act(&mut model, &[Action::Enter]);
    assert!(model.rows().len() < 12);
    act(&mut model, &[Action::Enter, Action::Down]);
    assert_eq!(model.rows().len(), 12);
    assert!(selected(&model).is_some());
    act(&mut model, &[Action::Fold]);
    assert!(model.rows().len() < 12);
    assert_eq!(model.selected_line(&model.rows()), Some(0));
}

#[test]
fn what_is_asked_for_is_ordered_or_said_to_be_in_vain() {
    let of_alert = [Action::Down; 5];
    for (before, action, order, note) in [
        (
            &of_alert[..],
            Action::Acknowledge,
            Some(Order::Acknowledge {
                id: alert().id,
                who: "process5 (pid 105)".to_owned(),
            }),
            None,
        ),
        (
            &[],
            Action::Acknowledge,
            None,
            Some("process0 (pid 100) has no open alert"),
        ),
        (
            &[],
            Action::Silence,
            None,
            Some("process0 (pid 100) has no open alert"),
        ),
        (&[], Action::Capture, Some(Order::Capture(100)), None),
        (
            &[Action::Capture],
            Action::Capture,
            None,
            Some("process0 (pid 100) is being measured"),
        ),
        (&[], Action::Enter, Some(Order::Explain(100)), None),
        (
            &[Action::Tree, Action::First],
            Action::Capture,
            None,
            Some("no process is selected"),
        ),
        (&[], Action::Quit, Some(Order::Quit), None),
        (&[Action::Enter], Action::Quit, Some(Order::Quit), None),
        (&[], Action::Suspend, Some(Order::Suspend), None),
    ] {
        let mut model = model();
        act(&mut model, before);
        assert_eq!(model.act(action, 2.0), order, "{action:?}");
        let said = model.note.as_ref().map(|note| note.text.as_str());
        assert_eq!(said, note, "{action:?}");
        model.pass(2.0 + NOTE_SECS);
        assert_eq!(model.note, None, "it is said for a while");
    }
}

#[test]
fn a_silence_takes_a_time_and_a_yes() {
    let mut model = model();
    act(&mut model, &[Action::Down; 5]);
    act(&mut model, &[Action::Silence]);
    assert_eq!(model.focus(), Focus::Choice);
    act(&mut model, &[Action::Down, Action::Enter]);
    assert_eq!(model.focus(), Focus::Question);
    // Back to the choice, further than there is, and on.
    act(&mut model, &[Action::Back]);
    assert_eq!(model.focus(), Focus::Choice);
    act(&mut model, &[Action::Up; 20]);
    let order = act(&mut model, &[Action::Enter, Action::Yes]);
    let Some(Order::Silence { matcher, time }) = order else {
        panic!("{order:?}");
    };
    assert!(matcher.matches(&alert()));
    assert_eq!(time, TIMES[0]);
    assert_eq!(model.focus(), Focus::List);
    // Leaving asks for nothing.
    let order = act(
        &mut model,
        &[Action::Silence, Action::Enter, Action::Back, Action::Back],
    );
    assert_eq!((order, model.focus()), (None, Focus::List));
}

#[test]
fn a_page_is_asked_for_again_unless_that_was_refused() {
    let explained = || -> Result<Box<Explained>, String> { Err("not yours".to_owned()) };
    let mut model = model();
    act(&mut model, &[Action::Enter]);
    assert_eq!(model.focus(), Focus::Text);
    let again =
        |model: &mut Model, now_secs| model.learn(answer(Listed::Pages, entries()), now_secs);
    assert_eq!(
        again(&mut model, 100.0),
        None,
        "the first answer is not there"
    );
    model.learn(Answer::Explained(100, explained()), 101.0);
    assert_eq!(again(&mut model, 200.0), None, "it was refused");
    let (lines, _) = model.page_text().expect("a page");
    assert_eq!(lines[0].text, "not yours");
    act(&mut model, &[Action::Back]);
    assert_eq!(model.focus(), Focus::List);
}

#[test]
fn a_capture_shows_what_it_has_found_or_why_not() {
    let capture = || Capture {
        pid: 100,
        secs: 30.0,
        method: "glibc".to_owned(),
        allocated_bytes: 1,
        freed_bytes: 0,
        net_bytes: 1,
        calls: 1,
        lost: 0,
        cost_secs: 0.0,
        sites: Vec::new(),
        loss: Vec::new(),
    };
    let mut model = model();
    act(&mut model, &[Action::Capture]);
    model.learn(Answer::Captured(999, Ok(Box::new(capture()))), 9.0);
    assert!(model.capturing.is_some(), "that was another one");
    model.learn(Answer::Captured(100, Ok(Box::new(capture()))), 9.0);
    assert!(model.capturing.is_none());
    let (lines, _) = model.page_text().expect("a page");
    assert_eq!(lines[0].text, "process 100, measured for 30 s");
    act(&mut model, &[Action::Back, Action::Capture]);
    model.learn(Answer::Captured(100, Err("denied".to_owned())), 9.0);
    let note = model.note.as_ref().expect("a note");
    assert!(note.is_failure && note.text == "denied");
    assert!(model.capturing.is_none() && model.page().is_none());
}

#[test]
fn pages_lie_upon_each_other_and_scroll_within_their_text() {
    let mut model = model();
    act(&mut model, &[Action::Enter, Action::Help, Action::Help]);
    assert!(model.page().is_some_and(Page::is_help));
    let length = model.page_text().expect("a page").0.len();
    for (action, at) in [
        (Action::Down, 1),
        (Action::Up, 0),
        (Action::Up, 0),
        (Action::Last, length - 6),
        (Action::Down, length - 6),
        (Action::PageUp, length - 12),
        (Action::First, 0),
    ] {
        act(&mut model, &[action]);
        let (_, from) = model.page_text().expect("a page");
        assert_eq!(from, at, "{action:?}");
    }
    act(&mut model, &[Action::Back]);
    assert!(model.page().is_some_and(|page| page.key().is_some()));
    act(&mut model, &[Action::Back, Action::Back]);
    assert!(model.page().is_none());
}
