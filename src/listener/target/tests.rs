#![expect(clippy::unwrap_used, reason = "tests")]
use super::hpack::PATH;
use super::*;

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
    frame.extend_from_slice(payload);
    frame
}

/// What is said of frames that come in pieces of any size.
fn said(frames: &[Vec<u8>]) -> Result<(), Refused> {
    let mut all = vec![0; PREFACE];
    frames.iter().for_each(|frame| all.extend(frame));
    let of = |size: usize| {
        let mut targets = Targets::new(8192);
        let mut pieces = all.chunks(size);
        pieces.try_for_each(|piece| targets.watch(piece))
    };
    let whole = of(all.len());
    for size in [1, 2, 7, 100] {
        assert_eq!(of(size), whole, "by {size}");
    }
    whole
}

fn plain(text: &[u8]) -> Vec<u8> {
    let mut all = vec![u8::try_from(text.len()).unwrap()];
    all.extend_from_slice(text);
    all
}

fn literal(first: u8, texts: &[&[u8]]) -> Vec<u8> {
    let mut all = vec![first];
    texts.iter().for_each(|text| all.extend(plain(text)));
    all
}

#[test]
fn t89_fields_are_counted_before_they_are_read() {
    let indexed = |count: usize| vec![0x82; count];
    assert_eq!(said(&[frame(1, 4, &indexed(FIELDS))]), Ok(()));
    assert_eq!(
        said(&[frame(1, 4, &indexed(FIELDS + 1))]),
        Err(Refused::TooMany)
    );
    // Before the block ends, and whatever the pieces are.
    let literals: Vec<u8> = (0..FIELDS)
        .flat_map(|_| literal(0, &[b"a", b"b"]))
        .collect();
    for size in [7, 500, 1200] {
        let mut frames = vec![frame(1, 0, &[])];
        frames.extend(literals.chunks(size).map(|piece| frame(9, 0, piece)));
        assert_eq!(said(&frames), Ok(()), "by {size}");
        frames.push(frame(9, 0, &[0x82]));
        assert_eq!(said(&frames), Err(Refused::TooMany), "by {size}");
    }
    // Each block anew.
    assert_eq!(
        said(&[frame(1, 4, &indexed(1000)), frame(1, 4, &indexed(1000))]),
        Ok(())
    );
}

#[test]
fn t52_targets_have_no_fragment() {
    let fragment = Err(Refused::Fragment);
    for (block, expected) in [
        (literal(0x04, &[b"/a"]), Ok(())),
        (literal(0x04, &[b"/a#b"]), fragment),
        (literal(0x05, &[b"#"]), fragment),
        (literal(0x14, &[b"/a#b"]), fragment),
        (literal(0x44, &[b"/a#b"]), fragment),
        (literal(0x00, &[b":path", b"/a#b"]), fragment),
        (literal(0x40, &[b":path", b"/a#b"]), fragment),
        // Other fields may.
        (literal(0x00, &[b"x-a", b"/a#b"]), Ok(())),
        (
            literal(0x0f, &[])
                .into_iter()
                .chain([0x2b])
                .chain(plain(b"a#b"))
                .collect(),
            Ok(()),
        ),
        // In HPACK's code: `/a#b` and `/a`.
        (vec![0x04, 0x84, 0x60, 0x7f, 0xf5, 0x1f], fragment),
        (vec![0x04, 0x82, 0x60, 0x7f], Ok(())),
        (
            [&[0x00, 0x84][..], PATH[1], &plain(b"/#")].concat(),
            fragment,
        ),
        // Nonsense.
        (vec![0x80], Err(Refused::Unreadable)),
        (vec![0xbe], Err(Refused::Unreadable)),
        (vec![0x04, 0x7f], Err(Refused::Unreadable)),
        (
            vec![0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            Err(Refused::Unreadable),
        ),
    ] {
        assert_eq!(said(&[frame(1, 0x4, &block)]), expected, "{block:x?}");
        // Behind others, padded, with a priority, and in two pieces.
        let data = frame(0, 1, b"\x00\x00\x05\x01\x04\x00\x00\x00\x01\x04\x02/#");
        assert_eq!(
            said(&[data, frame(4, 0, &[]), frame(1, 0x4, &block)]),
            expected
        );
        let padded = [&[3, 0, 0, 0, 0, 9][..], &block, b"/##"].concat();
        assert_eq!(said(&[frame(1, 0x4 | 0x8 | 0x20, &padded)]), expected);
        let (one, two) = block.split_at(block.len() / 2);
        assert_eq!(said(&[frame(1, 0, one), frame(9, 0x4, two)]), expected);
        // Its end is a frame without a byte, the last that comes.
        let ended = [frame(1, 0, &block), frame(9, 0x4, &[])];
        assert_eq!(said(&ended), expected, "{block:x?} and an empty end");
        let begun = [frame(1, 0, &[]), frame(9, 0x4, &block)];
        assert_eq!(said(&begun), expected, "an empty beginning and {block:x?}");
    }
}

#[test]
fn t87_a_head_is_under_way_from_its_first_frame_to_the_end_of_its_last() {
    let mut targets = Targets::new(8192);
    let mut head_behind = |bytes: &[u8]| {
        targets.watch(bytes).unwrap();
        targets.head()
    };
    assert_eq!(head_behind(&[0; PREFACE]), None);
    assert_eq!(head_behind(&frame(4, 0, &[])), None);
    assert_eq!(head_behind(&frame(1, 0, &[])), Some(1));
    assert_eq!(head_behind(&frame(9, 0, &[])), Some(1));
    assert_eq!(head_behind(&frame(9, 0x4, &[])), None);
    assert_eq!(head_behind(&frame(1, 0, &[0x82])), Some(2));
    assert_eq!(head_behind(&frame(9, 0x4, &[])), None);
    assert_eq!(head_behind(&frame(1, 0x4, &[])), None);
    // One ends and the next begins within one read: the next has its own time.
    assert_eq!(head_behind(&frame(1, 0, &[0x82])), Some(4));
    let both = [frame(9, 0x4, &[0x84]), frame(1, 0, &[0x82])].concat();
    assert_eq!(head_behind(&both), Some(5));
}

#[test]
fn t52_targets_that_are_referred_to() {
    // A field whose value has `#` under another name, and `:path` behind it.
    let first = [literal(0x40, &[b"x", b"#"]), literal(0x44, &[b"/k"])].concat();
    let block = |bytes: &[u8]| frame(1, 0x4, bytes);
    // 62 is the latest: `:path`, whose name another value takes.
    assert_eq!(said(&[block(&first), block(&[0xbe, 0xbf])]), Ok(()));
    let takes = |first: u8, rest: &[u8]| [&[first][..], rest].concat();
    assert_eq!(
        said(&[block(&first), block(&takes(0x7e, &plain(b"/#")))]),
        Err(Refused::Fragment)
    );
    assert_eq!(
        said(&[
            block(&first),
            block(&takes(0x7f, &[&[0][..], &plain(b"/#")].concat()))
        ]),
        Ok(())
    );
    // What was thrown out is not there to be referred to.
    assert_eq!(
        said(&[block(&first), block(&[0x20]), block(&[0xbe])]),
        Err(Refused::Unreadable)
    );
    let long = vec![b'a'; 120];
    let fills: Vec<u8> = (0..40)
        .flat_map(|_| literal(0x40, &[b"y", &long]))
        .collect();
    // 4096 have room for 26 of 153 bytes.
    assert_eq!(
        said(&[block(&first), block(&fills), block(&[0xbe + 25])]),
        Ok(())
    );
    assert_eq!(
        said(&[block(&first), block(&fills), block(&[0xbe + 26])]),
        Err(Refused::Unreadable)
    );
}

proptest::proptest! {
    /// No bytes panic, and none are read in two ways.
    #[test]
    fn t52_any_bytes(frames in proptest::collection::vec((0_u8..11, proptest::num::u8::ANY, proptest::collection::vec(proptest::num::u8::ANY, 0..60)), 0..6)) {
        let frames: Vec<_> = frames.iter().map(|(kind, flags, payload)| frame(*kind, *flags, payload)).collect();
        let _ = said(&frames);
    }
}
