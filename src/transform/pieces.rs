//! Small pieces copied together: each piece that passes costs the same work behind here, and one byte
//! that is a slice of a buffer keeps all of it in memory.

use bytes::{Bytes, BytesMut};

/// A piece of this many bytes passes as it is.
const LARGE: usize = 4 * 1024;

/// What is copied together before it passes.
const ENOUGH: usize = 16 * 1024;

/// Pieces in the order they came.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    gathered: BytesMut,
    whole: Vec<Bytes>,
}

impl Pieces {
    /// Takes part of `bytes`: from `start` on, `length` bytes.
    pub(super) fn take(&mut self, bytes: &Bytes, start: usize, length: usize) {
        let end = start.saturating_add(length).min(bytes.len());
        if length >= LARGE && start <= end {
            self.close();
            self.whole.push(bytes.slice(start..end));
            return;
        }
        (self.gathered).extend_from_slice(bytes.get(start..end).unwrap_or_default());
        if self.gathered.len() >= ENOUGH {
            self.close();
        }
    }

    /// What is gathered is a piece, however small.
    pub(super) fn close(&mut self) {
        if !self.gathered.is_empty() {
            self.whole.push(self.gathered.split().freeze());
        }
    }

    /// The whole pieces, oldest first; what is still gathered stays.
    pub(super) fn whole(&mut self) -> impl Iterator<Item = Bytes> {
        self.whole.drain(..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_keep_their_order_and_large_ones_their_place() {
        let source: Vec<u8> = (0..100_000_usize).map(|n| (n % 251) as u8).collect();
        let source = Bytes::from(source);
        let sizes = [1, 5000, 3, 4095, 4096, 20_000, 2];
        let (mut pieces, mut start, mut seen) = (Pieces::default(), 0, Vec::new());
        for size in sizes.iter().cycle().take(20) {
            pieces.take(&source, start, *size);
            start = (start + size).min(source.len());
            seen.extend(pieces.whole());
        }
        assert!(
            seen.iter()
                .any(|piece| piece.len() == 20_000
                    && source.as_ptr_range().contains(&piece.as_ptr()))
        );
        pieces.close();
        seen.extend(pieces.whole());
        assert_eq!(seen.concat(), source.slice(..start));
    }

    #[test]
    fn t93_small_pieces_are_few_and_hold_no_more_than_themselves() {
        let mut pieces = Pieces::default();
        for n in 0..100_000_u32 {
            pieces.take(&Bytes::from(vec![n as u8; 64 * 1024]), 7, 1);
        }
        pieces.close();
        let all: Vec<Bytes> = pieces.whole().collect();
        assert!(all.len() <= 100_000 / ENOUGH + 1);
        assert_eq!(all.iter().map(Bytes::len).sum::<usize>(), 100_000);
    }
}
