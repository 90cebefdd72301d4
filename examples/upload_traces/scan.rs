//! The objects in a JSON file, one after the other, without ever holding the file.

use std::io::{self, BufRead, BufReader, Read};

/// Finds the topmost objects of a list, of lists in a list, or of a file with one object a line: `[`, `]`, `,` and
/// blanks between objects are passed over. Holds one object at a time.
pub(crate) struct Objects<R> {
    input: BufReader<R>,
    /// Bytes read so far.
    at: u64,
    object: Vec<u8>,
}

impl<R: Read> Objects<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input: BufReader::with_capacity(1 << 20, input), at: 0, object: Vec::new() }
    }

    /// Where the next object begins, and its text. `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        let Some(start) = self.find()? else { return Ok(None) };
        self.object.clear();
        let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
        loop {
            let bytes = self.input.fill_buf()?;
            if bytes.is_empty() {
                return Err(invalid(format!("the file ends within the run that begins at byte {start}")));
            }
            let end = bytes.iter().position(|byte| {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' if in_text => escaped = true,
                    b'"' => in_text = !in_text,
                    _ if in_text => {}
                    b'{' => depth += 1,
                    b'}' => depth -= 1,
                    _ => {}
                }
                depth == 0
            });
            let taken = end.map_or(bytes.len(), |last| last + 1);
            self.object.extend_from_slice(&bytes[..taken]);
            self.input.consume(taken);
            self.at += taken as u64;
            if end.is_some() {
                return Ok(Some((start, &self.object)));
            }
        }
    }

    /// Goes to the next `{`.
    fn find(&mut self) -> io::Result<Option<u64>> {
        loop {
            let bytes = self.input.fill_buf()?;
            if bytes.is_empty() {
                return Ok(None);
            }
            let between = |byte: &u8| matches!(byte, b'[' | b']' | b',' | b' ' | b'\t' | b'\r' | b'\n');
            // Some editors put a byte order mark first.
            let mark = if self.at == 0 && bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
            let taken = mark + bytes[mark..].iter().take_while(|byte| between(byte)).count();
            let found = bytes.get(taken).copied();
            self.input.consume(taken);
            self.at += taken as u64;
            match found {
                None => {}
                Some(b'{') => return Ok(Some(self.at)),
                Some(other) => {
                    let what = char::from(other).escape_default();
                    return Err(invalid(format!(
                        "byte {}: there should be a run, a JSON object, but it is {what}",
                        self.at
                    )));
                }
            }
        }
    }
}

pub(crate) fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
