//! A reader of multipart bodies as RFC 2046 has it: it knows the boundary from the header alone, believes no length, and
//! shares nothing with the sender or with the receiver for tests.

use opentelemetry_langsmith::testing::ReceivedRequest;

/// One part: its header lines, and what comes after them.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    pub(crate) headers: Vec<&'a str>,
    pub(crate) content: &'a [u8],
}

impl<'a> Part<'a> {
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        let mut headers = self.headers.iter().filter_map(|line| line.split_once(':'));
        headers.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    pub(crate) fn name(&self) -> &'a str {
        let disposition = self.header("content-disposition").expect("each part has a disposition");
        let name = disposition.strip_prefix("form-data; name=\"").expect("it names the part");
        name.strip_suffix('"').filter(|name| !name.contains(['"', '\\'])).expect("the name ends where it seems to")
    }
}

pub(crate) fn boundary(content_type: &str) -> &str {
    content_type.strip_prefix("multipart/form-data; boundary=").expect("the header of a multipart body")
}

/// Panics where a strict reader would refuse the body.
pub(crate) fn parts<'a>(content_type: &str, body: &'a [u8]) -> Vec<Part<'a>> {
    let boundary = boundary(content_type);
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&byte);
    assert!((1..=70).contains(&boundary.len()) && boundary.bytes().all(is_valid), "{boundary:?}");
    let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
    // The first delimiter's line end is that of the preamble, which is empty.
    let mut rest = body.strip_prefix(&delimiter[2..]).expect("it begins with its boundary");
    let mut parts = Vec::new();
    loop {
        if let Some(epilogue) = rest.strip_prefix(b"--") {
            assert_eq!(epilogue, b"\r\n", "nothing follows the end");
            return parts;
        }
        rest = rest.strip_prefix(b"\r\n").expect("a boundary has a line of its own");
        let end = find(rest, &delimiter).expect("each part ends with a boundary");
        parts.push(part(&rest[..end]));
        rest = &rest[end + delimiter.len()..];
    }
}

fn part(part: &[u8]) -> Part<'_> {
    let end = find(part, b"\r\n\r\n").expect("an empty line ends the headers");
    let head = std::str::from_utf8(&part[..end]).expect("headers are text");
    Part { headers: head.split("\r\n").collect(), content: &part[end + 4..] }
}

fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    // Quick, because bodies have megabytes: line ends are rare in them.
    let first = pattern[0];
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.iter().position(|byte| *byte == first)?;
        if text[at..].starts_with(pattern) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// What this reader finds in the bodies that came is what was meant: each part is as long as it says, and the runs are
/// those that the receiver has found.
pub(crate) fn assert_read_alike(requests: &[ReceivedRequest]) {
    let mut seen = std::collections::HashSet::new();
    for request in requests.iter().filter(|request| request.path.ends_with("/runs/multipart")) {
        if request.plain.is_empty() {
            continue; // its body never came
        }
        let content_type = request.header("content-type").expect("a body has a type");
        let mut runs = Vec::new();
        for part in parts(content_type, &request.plain) {
            let length = part.content.len().to_string();
            assert_eq!(part.header("content-length"), Some(&*length), "{}", part.name());
            if let ["post" | "patch", id] = part.name().split('.').collect::<Vec<_>>()[..] {
                if !runs.contains(&id) {
                    runs.push(id);
                }
            }
        }
        assert_eq!(runs, request.run_ids);
        // A resend has the same content; any other body has a boundary of its own.
        seen.insert((boundary(content_type), &request.plain));
    }
    let boundaries: std::collections::HashSet<_> = seen.iter().map(|(boundary, _)| boundary).collect();
    assert_eq!(boundaries.len(), seen.len(), "two bodies share a boundary");
}
