/// Searching and trimming on UTF-8 bytes. UTF-8 is self-synchronising, so a byte search finds whole code points, and
/// bytes compare in the order of code points.

/// Length in bytes of the white space character (as Python's `str.isspace` sees it) that starts at `place`, 0 if none.
func utf8WhitespaceLength(_ bytes: [UInt8], at place: Int) -> Int {
    let byte = bytes[place]
    if byte < 0x80 { return 0x09...0x0D ~= byte || 0x1C...0x20 ~= byte ? 1 : 0 }
    func follows(_ offset: Int, _ range: ClosedRange<UInt8>) -> Bool {
        place + offset < bytes.count && range ~= bytes[place + offset]
    }
    switch byte {
    case 0xC2: return follows(1, 0x85...0x85) || follows(1, 0xA0...0xA0) ? 2 : 0
    case 0xE1: return follows(1, 0x9A...0x9A) && follows(2, 0x80...0x80) ? 3 : 0
    case 0xE2:
        if follows(1, 0x80...0x80) {
            return follows(2, 0x80...0x8A) || follows(2, 0xA8...0xA9) || follows(2, 0xAF...0xAF) ? 3 : 0
        }
        return follows(1, 0x81...0x81) && follows(2, 0x9F...0x9F) ? 3 : 0
    case 0xE3: return follows(1, 0x80...0x80) && follows(2, 0x80...0x80) ? 3 : 0
    default: return 0
    }
}

func trimmingTrailingWhitespace(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    let bytes = Array(text)
    var end = bytes.count
    while end > 0 {
        var start = end - 1
        while start > 0, bytes[start] & 0xC0 == 0x80 { start -= 1 }
        let length = utf8WhitespaceLength(bytes, at: start)
        guard length > 0, start + length == end else { break }
        end = start
    }
    return text.prefix(end)
}

/// Places of `needle` in `text` from left to right without overlaps, at most `limit` of them. The needle is not empty.
/// Linear in the text whatever the needle (Knuth, Morris and Pratt).
func utf8Occurrences(of needle: [UInt8], in text: [UInt8], limit: Int = .max) -> [Int] {
    guard needle.count <= text.count, limit > 0 else { return [] }
    var border = [Int](repeating: 0, count: needle.count)
    var matched = 0
    for place in needle.indices.dropFirst() {
        while matched > 0, needle[place] != needle[matched] { matched = border[matched - 1] }
        if needle[place] == needle[matched] { matched += 1 }
        border[place] = matched
    }
    var found: [Int] = []
    matched = 0
    for (place, byte) in text.enumerated() {
        while matched > 0, byte != needle[matched] { matched = border[matched - 1] }
        if byte == needle[matched] { matched += 1 }
        if matched == needle.count {
            found.append(place + 1 - needle.count)
            if found.count == limit { break }
            matched = 0
        }
    }
    return found
}

extension String {
    /// Whether `needle` occurs, by code points.
    func containsCodePoints(_ needle: String) -> Bool {
        let needle = Array(needle.utf8)
        return needle.isEmpty || !utf8Occurrences(of: needle, in: Array(utf8), limit: 1).isEmpty
    }
}
