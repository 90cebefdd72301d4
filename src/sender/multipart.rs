//! The multipart format: writing parts, and reading back what was written, for the few bodies that
//! have to be taken apart again.

use super::boundary::{self, Boundary};
use memchr::memmem;
use std::ops::Range;

/// How a part goes on behind its boundary, up to its name.
const DISPOSITION: &str = "\r\nContent-Disposition: form-data; name=\"";

/// The first word in the names of parts that are feedback.
pub(crate) const FEEDBACK: &str = "feedback";

/// Appends one part; its name is given in pieces.
pub(crate) fn push_part(body: &mut Vec<u8>, boundary: &Boundary, name: &[&str], content_type: &str, content: &[u8]) {
    body.extend_from_slice(b"--");
    body.extend_from_slice(boundary.as_bytes());
    let mut push = |text: &str| body.extend_from_slice(text.as_bytes());
    push(DISPOSITION);
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

/// How the parts of runs begin in one body, up to the run's id: written once a body, as they stand there so often.
#[derive(Debug)]
pub(crate) struct Heads {
    pub(crate) boundary: Boundary,
    post: [u8; HEAD + "post.".len()],
    patch: [u8; HEAD + "patch.".len()],
}

const HEAD: usize = "--".len() + boundary::LENGTH + DISPOSITION.len();

impl Heads {
    pub(crate) fn new(boundary: Boundary) -> Self {
        let head = [b"--", &boundary.as_bytes()[..], DISPOSITION.as_bytes()].concat();
        let (mut post, mut patch) = ([0; _], [0; _]);
        let pairs = [(&mut post[..], "post."), (&mut patch[..], "patch.")];
        for (whole, word) in pairs {
            whole[..HEAD].copy_from_slice(&head);
            whole[HEAD..].copy_from_slice(word.as_bytes());
        }
        Self { boundary, post, patch }
    }

    pub(crate) fn of(&self, operation: Operation) -> Head<'_> {
        Head { heads: self, operation }
    }
}

/// How the parts of one run begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    heads: &'a Heads,
    operation: Operation,
}

impl Head<'_> {
    pub(crate) fn boundary(&self) -> &Boundary {
        &self.heads.boundary
    }

    #[inline]
    fn push(self, body: &mut Vec<u8>) {
        // Of known lengths, so that they are not copied by a call.
        match self.operation {
            Operation::Post => body.extend_from_slice(&self.heads.post),
            Operation::Patch => body.extend_from_slice(&self.heads.patch),
        }
    }
}

/// Begins a part of JSON that is written right into the body, and ended by [`end_json`]. `rest` is a
/// [`json_head!`]. Gives back where the content begins.
#[inline]
pub(crate) fn begin_json(
    body: &mut Vec<u8>,
    head: Head<'_>,
    id: &[u8; 36],
    (rest, content): (&'static str, usize),
) -> usize {
    head.push(body);
    body.extend_from_slice(id);
    body.extend_from_slice(rest.as_bytes());
    body.len() - content
}

/// Appends a part of JSON that is there already.
#[inline]
pub(crate) fn push_json(body: &mut Vec<u8>, head: Head<'_>, id: &[u8; 36], rest: &'static str, content: &str) {
    head.push(body);
    body.extend_from_slice(id);
    body.extend_from_slice(rest.as_bytes());
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

/// A part of a body.
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

/// Reads a body of parts as they are written here, whatever the boundary is. `None` when it is none, and when a
/// reader that looks for the boundary would find other parts in it.
pub(crate) fn read(body: &[u8]) -> Option<Vec<Part>> {
    let parts = read_by_lengths(body)?;
    (!is_ambiguous(body, &parts)).then_some(parts)
}

/// Whether the boundary stands in a part's content too, or in a name.
pub(crate) fn is_ambiguous(body: &[u8], parts: &[Part]) -> bool {
    let Some(first) = parts.first() else { return false };
    let dashes_and_boundary = body[first.whole.start..first.inner.start].trim_ascii_end();
    memmem::find_iter(body, dashes_and_boundary).count() != parts.len() + 1
}

/// Reads a body by the lengths alone that its parts tell: that is how they were meant by whoever wrote it.
pub(crate) fn read_by_lengths(body: &[u8]) -> Option<Vec<Part>> {
    let line_end = memmem::find(body.get(..200).unwrap_or(body), b"\r\n")? + 2;
    let boundary_line = &body[..line_end];
    let end_line = [&boundary_line[..line_end - 2], b"--\r\n"].concat();
    if !boundary_line.starts_with(b"--") {
        return None;
    }
    let mut parts = Vec::<Part>::new();
    let mut at = 0;
    while !body[at..].starts_with(&end_line) {
        let start = at;
        let head = body.get(at..)?.strip_prefix(boundary_line)?;
        let head_length = memmem::find(head, b"\r\n\r\n")?;
        let (name, length) = read_head(std::str::from_utf8(&head[..head_length]).ok()?)?;
        let begin = start + line_end + head_length + 4;
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
            inner: start + line_end..at,
            content: begin..end,
        };
        parts.push(part);
    }
    // What comes after the end is no part for any reader, and was not written here.
    (body.len() == at + end_line.len()).then_some(parts)
}

/// A part's name and its length.
fn read_head(head: &str) -> Option<(&str, usize)> {
    let (mut name, mut length) = (None, None);
    for line in head.split("\r\n") {
        let (header, value) = line.split_once(':')?;
        if header.eq_ignore_ascii_case("content-disposition") {
            name = Some(value.split_once("name=\"")?.1.split_once('"')?.0);
        } else if header.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse().ok()?);
        }
    }
    Some((name?, length?))
}

/// Gives the parts at the end of `body`, from `from` on, the boundary of another body.
pub(crate) fn change_boundary(body: &mut Vec<u8>, from: usize, old: &Boundary, new: &Boundary) {
    old.push_end(body);
    let parts = read_by_lengths(&body[from..]).unwrap_or_default();
    body.truncate(body.len() - boundary::END_LENGTH);
    for part in parts {
        let at = from + part.whole.start + "--".len();
        body[at..at + boundary::LENGTH].copy_from_slice(new.as_bytes());
    }
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
            let heads = Heads::new(Boundary::random());
            let boundary = &heads.boundary;
            for name in ["post.", "patch."] {
                let id = std::str::from_utf8(&id).unwrap();
                push_part(&mut plain, boundary, &[name, id, ".extra"], "application/json", content.as_bytes());
            }
            let begin = begin_json(&mut in_place, heads.of(Operation::Post), &id, json_head!(".extra", ""));
            in_place.extend_from_slice(content.as_bytes());
            end_json(&mut in_place, begin);
            push_json(&mut in_place, heads.of(Operation::Patch), &id, json_head!(".extra"), &content);
            assert_eq!(String::from_utf8(in_place), String::from_utf8(plain));
        }
    }

    /// In the bodies of other SDKs it may stand anywhere.
    #[test]
    fn feedback_is_no_run_wherever_it_stands() {
        let runs = |names: &[&str]| {
            let (mut body, boundary) = (Vec::new(), Boundary::random());
            for name in names {
                push_part(&mut body, &boundary, &[name], "application/json", b"{}");
            }
            boundary.push_end(&mut body);
            let parts = read(&body).unwrap();
            (by_run(&parts).iter().map(|run| run.len()).collect::<Vec<_>>(), count_runs(&parts))
        };
        assert_eq!(runs(&["post.1", "post.1.inputs", "feedback.7", "feedback.8", "post.2"]), (vec![4, 1], 2));
        assert_eq!(runs(&["feedback.7", "post.1", "post.1.inputs", "post.2", "feedback.8"]), (vec![3, 2], 2));
        assert_eq!(runs(&["feedback.7", "feedback.8"]), (vec![2], 0));
    }

    #[test]
    fn content_with_the_boundary_in_it_is_found_out() {
        let boundary = Boundary::random();
        let text = std::str::from_utf8(boundary.as_bytes()).unwrap();
        let read_with = |content: &str| {
            let mut body = Vec::new();
            push_part(&mut body, &boundary, &["post.1"], "application/json", b"{}");
            push_part(&mut body, &boundary, &["attachment.1.file"], "text/plain", content.as_bytes());
            boundary.push_end(&mut body);
            (read_by_lengths(&body).map(|parts| parts.len()), read(&body).is_some())
        };
        assert_eq!(read_with("--"), (Some(2), true));
        for forged in [format!("\r\n--{text}\r\n"), format!("--{text}"), format!("\n--{text}--\r\n")] {
            assert_eq!(read_with(&forged), (Some(2), false), "{forged}");
        }
    }

    #[test]
    fn parts_move_to_another_body() {
        let (old, new) = (Boundary::random(), Boundary::random());
        let write = |boundary: &Boundary| {
            let mut body = b"before".to_vec();
            push_part(&mut body, boundary, &["post.1"], "application/json", b"{}");
            push_part(&mut body, boundary, &["attachment.1.file"], "text/plain", old.as_bytes());
            body
        };
        let mut body = write(&old);
        change_boundary(&mut body, "before".len(), &old, &new);
        assert_eq!(body, write(&new));
    }
}
