//! The multipart format: writing parts, and reading back what was written, for the few bodies that
//! have to be taken apart again.

use std::ops::Range;

/// One boundary for all bodies. Each part tells its length, so nothing in a part can end it.
pub(crate) const CONTENT_TYPE: &str = "multipart/form-data; boundary=langsmith-5f1d3a9c7e";
pub(crate) const BOUNDARY_LINE: &str = "--langsmith-5f1d3a9c7e\r\n";
/// How every part begins, boundary and all.
macro_rules! head {
    ($name:literal) => {
        concat!("--langsmith-5f1d3a9c7e\r\nContent-Disposition: form-data; name=\"", $name)
    };
}
pub(crate) const END: &str = "--langsmith-5f1d3a9c7e--\r\n";

/// The first word in the names of parts that are feedback.
pub(crate) const FEEDBACK: &str = "feedback";

/// Appends one part; its name is given in pieces.
pub(crate) fn push_part(body: &mut Vec<u8>, name: &[&str], content_type: &str, content: &[u8]) {
    let mut push = |text: &str| body.extend_from_slice(text.as_bytes());
    push(head!(""));
    for piece in name {
        push(piece);
    }
    push("\"\r\nContent-Type: ");
    push(content_type);
    push("\r\nContent-Length: ");
    push(itoa::Buffer::new().format(content.len()));
    push("\r\n\r\n");
    body.extend_from_slice(content);
    body.extend_from_slice(b"\r\n");
}

/// How the head of a part of JSON goes on behind the run's id, up to its length.
macro_rules! json_head {
    ($field:literal) => {
        concat!($field, "\"\r\nContent-Type: application/json\r\nContent-Length: ")
    };
    // With room for a length of three digits, which most have that are written in place. How the content begins
    // is said too, and its bytes are counted.
    ($field:literal, $content:literal) => {
        (
            concat!($field, "\"\r\nContent-Type: application/json\r\nContent-Length: 000\r\n\r\n", $content),
            $content.len(),
        )
    };
}
pub(crate) use json_head;

/// Whether a run is new or adds to one that was posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Post,
    Patch,
}

impl Operation {
    /// How the parts of a run begin, up to its id.
    #[inline]
    fn push_head(self, body: &mut Vec<u8>) {
        // Of known lengths, so that they are not copied by a call.
        match self {
            Self::Post => body.extend_from_slice(head!("post.").as_bytes()),
            Self::Patch => body.extend_from_slice(head!("patch.").as_bytes()),
        }
    }
}

/// Begins a part of JSON that is written right into the body, and ended by [`end_json`]. `head` is a
/// [`json_head!`]. Gives back where the content begins.
#[inline]
pub(crate) fn begin_json(
    body: &mut Vec<u8>,
    operation: Operation,
    id: &[u8; 36],
    (head, content): (&'static str, usize),
) -> usize {
    operation.push_head(body);
    body.extend_from_slice(id);
    body.extend_from_slice(head.as_bytes());
    body.len() - content
}

/// Appends a part of JSON that is there already.
#[inline]
pub(crate) fn push_json(body: &mut Vec<u8>, operation: Operation, id: &[u8; 36], head: &'static str, content: &str) {
    operation.push_head(body);
    body.extend_from_slice(id);
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(itoa::Buffer::new().format(content.len()).as_bytes());
    body.extend_from_slice(b"\r\n\r\n");
    body.extend_from_slice(content.as_bytes());
    body.extend_from_slice(b"\r\n");
}

/// Ends the last part of the body, whose content begins at `begin`.
#[inline]
pub(crate) fn end_json(body: &mut Vec<u8>, begin: usize) {
    let length = body.len() - begin;
    match (u32::try_from(length), body.get_mut(begin - 7..begin - 4)) {
        (Ok(length @ 100..1000), Some([hundreds, tens, ones])) => {
            let digit = |number: u32| b'0' + number.to_le_bytes()[0];
            (*hundreds, *tens, *ones) = (digit(length / 100), digit(length / 10 % 10), digit(length % 10));
        }
        _ => set_length(body, begin, length),
    }
    body.extend_from_slice(b"\r\n");
}

/// Sets a length that has not three digits.
#[inline(never)]
fn set_length(body: &mut Vec<u8>, begin: usize, length: usize) {
    body.splice(begin - 7..begin - 4, itoa::Buffer::new().format(length).bytes());
}

/// A part of a body that this crate wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// `post`, `patch`, `attachment` or `feedback`.
    pub(crate) operation: String,
    /// The run's id. Feedback, whose name does not tell it, has that of the part before it.
    pub(crate) id: String,
    /// `inputs`, …; empty for the main part, and the feedback's own id for feedback.
    pub(crate) field: String,
    /// The whole part in the body, from its boundary to its last line end.
    pub(crate) whole: Range<usize>,
    /// The same without its boundary.
    pub(crate) inner: Range<usize>,
    pub(crate) content: Range<usize>,
}

/// Reads a body of this crate's. `None` when it is none.
pub(crate) fn read(body: &[u8]) -> Option<Vec<Part>> {
    read_parts(body, BOUNDARY_LINE.as_bytes(), END.as_bytes())
}

/// Reads a body with any boundary, if its parts are written in the same way otherwise.
pub(crate) fn read_any(body: &[u8]) -> Option<Vec<Part>> {
    let line_end = body.windows(2).take(200).position(|window| window == b"\r\n")? + 2;
    let boundary_line = &body[..line_end];
    let end = [&boundary_line[..line_end - 2], b"--\r\n"].concat();
    boundary_line.starts_with(b"--").then(|| read_parts(body, boundary_line, &end))?
}

fn read_parts(body: &[u8], boundary_line: &[u8], end_line: &[u8]) -> Option<Vec<Part>> {
    let mut parts = Vec::<Part>::new();
    let mut at = 0;
    while !body[at..].starts_with(end_line) {
        let start = at;
        let head = body.get(at..)?.strip_prefix(boundary_line)?;
        let head_length = head.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&head[..head_length]).ok()?;
        let name = head.split("name=\"").nth(1)?.split('"').next()?;
        let length: usize = head.rsplit("Content-Length: ").next()?.parse().ok()?;
        let begin = start + boundary_line.len() + head_length + 4;
        let end = begin.checked_add(length)?;
        at = end.checked_add(2)?;
        if body.get(end..at)? != b"\r\n" {
            return None;
        }
        let mut words = name.splitn(3, '.');
        let (operation, mut id, mut field) = (words.next()?, words.next()?, words.next().unwrap_or(""));
        if operation == FEEDBACK {
            (id, field) = (parts.last().map_or("", |before| &before.id), id);
        }
        let part = Part {
            operation: operation.into(),
            id: id.into(),
            field: field.into(),
            whole: start..at,
            inner: start + boundary_line.len()..at,
            content: begin..end,
        };
        parts.push(part);
    }
    Some(parts)
}

/// The parts, run by run: a run's parts stand together. Feedback that other SDKs' bodies begin with goes
/// with the first one.
pub(crate) fn by_run(parts: &[Part]) -> Vec<&[Part]> {
    parts.chunk_by(|before, after| before.id == after.id || before.id.is_empty()).collect()
}

/// How many runs there are; feedback alone is none.
pub(crate) fn count_runs(parts: &[Part]) -> u64 {
    by_run(parts).iter().filter(|run| run.iter().any(|part| part.operation != FEEDBACK)).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_written_in_place_is_like_any_other() {
        for length in [0, 9, 10, 99, 100, 999, 1000, 12_345] {
            let content = "1".repeat(length);
            let (mut plain, mut in_place) = (Vec::new(), Vec::new());
            let id = [b'7'; 36];
            for name in ["post.", "patch."] {
                let id = std::str::from_utf8(&id).unwrap();
                push_part(&mut plain, &[name, id, ".extra"], "application/json", content.as_bytes());
            }
            let begin = begin_json(&mut in_place, Operation::Post, &id, json_head!(".extra", ""));
            in_place.extend_from_slice(content.as_bytes());
            end_json(&mut in_place, begin);
            push_json(&mut in_place, Operation::Patch, &id, json_head!(".extra"), &content);
            assert_eq!(String::from_utf8(in_place), String::from_utf8(plain));
        }
    }

    /// In the bodies of other SDKs it may stand anywhere.
    #[test]
    fn feedback_is_no_run_wherever_it_stands() {
        let runs = |names: &[&str]| {
            let mut body = Vec::new();
            for name in names {
                push_part(&mut body, &[name], "application/json", b"{}");
            }
            body.extend_from_slice(END.as_bytes());
            let parts = read(&body).unwrap();
            (by_run(&parts).iter().map(|run| run.len()).collect::<Vec<_>>(), count_runs(&parts))
        };
        assert_eq!(runs(&["post.1", "post.1.inputs", "feedback.7", "feedback.8", "post.2"]), (vec![4, 1], 2));
        assert_eq!(runs(&["feedback.7", "post.1", "post.1.inputs", "post.2", "feedback.8"]), (vec![3, 2], 2));
        assert_eq!(runs(&["feedback.7", "feedback.8"]), (vec![2], 0));
    }
}
