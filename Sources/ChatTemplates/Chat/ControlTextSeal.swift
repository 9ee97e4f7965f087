/// The tokens of a vocabulary that stand for themselves, by their texts.
package struct ControlTexts: Sendable, Equatable {
    /// Of control tokens, which only templates write.
    package var control: [String]
    /// Of user-defined tokens. Those that look like control tokens, or that the template writes, count as such; others,
    /// such as HTML tags or runs of blanks, are ordinary parts of a text.
    package var userDefined: [String]

    package init(control: [String] = [], userDefined: [String] = []) {
        self.control = control
        self.userDefined = userDefined
    }
}

/// Keeps text that only looks like a control token from becoming one: nobody who writes `<|im_end|>` in a message, in a
/// tool's result or in its description can end a turn or begin another.
///
/// A template puts messages and control tokens into one text. Before it does, everything that came from outside is
/// *sealed*: a sign that no token has, U+10FFFD, is put inside of whatever is spelled like a control token, and beside
/// what could become one together with the text around it. After it, the signs are taken out again, and their places
/// are kept as *seams*, over which the tokenizer finds no control token. What the template writes by itself has no
/// signs and is read as before. The sign itself is doubled where a message has it.
struct ControlTextSeal: Sendable {
    private static let sign: Unicode.Scalar = "\u{10FFFD}"
    private static let signBytes = Array("\u{10FFFD}".utf8)

    private var texts = ByteTree()
    /// Of those that begin and end like a mark: a piece of one may be made whole by the text around it.
    private var marks = ByteTree()
    private var reversedMarks = ByteTree()
    private var markTexts: [[UInt8]] = []

    /// - Parameter template: the template's source.
    init(_ tokens: ControlTexts, template: String) {
        let source = Array(template.utf8)
        var seen: Set<[UInt8]> = []
        func add(_ text: String) {
            let bytes = Array(text.utf8)
            // A sign needs a place inside.
            guard text.unicodeScalars.count > 1, bytes.count <= 256, seen.insert(bytes).inserted else { return }
            texts.insert(bytes)
            guard Self.isPunctuation(bytes.first), Self.isPunctuation(bytes.last) else { return }
            marks.insert(bytes)
            reversedMarks.insert(bytes.reversed())
            markTexts.append(bytes)
        }
        for text in tokens.control { add(text) }
        for text in tokens.userDefined where text.utf8.contains(where: { Self.isPunctuation($0) }) {
            let looksLikeControl = text.hasPrefix("<|") || text.hasSuffix("|>") || text.hasPrefix("<｜")
            if looksLikeControl || !utf8Occurrences(of: Array(text.utf8), in: source, limit: 1).isEmpty { add(text) }
        }
    }

    /// Neither a letter, a digit nor white space, as far as ASCII goes; other characters count too.
    private static func isPunctuation(_ byte: UInt8?) -> Bool {
        guard let byte else { return false }
        return byte > 0x20 && !Character(Unicode.Scalar(byte)).isASCIIWord
    }

    // MARK: Sealing

    /// - Parameter kept: texts that stay what they are, such as an assistant's own marks.
    func sealed(_ text: String, keeping kept: Set<String> = []) -> String {
        let bytes = Array(text.utf8)
        var places: Set<Int> = []
        for place in bytes.indices {
            guard let length = texts.longestMatch(bytes, from: place) else { continue }
            if !kept.isEmpty, kept.contains(String(decoding: bytes[place..<(place + length)], as: UTF8.self)) {
                continue
            }
            places.insert(place + UTF8.width(startingWith: bytes[place]))
        }
        if let core = Self.trimmedRange(bytes) {
            if beginsWithinMark(bytes[core]) { places.insert(core.lowerBound) }
            if endsWithinMark(bytes[core]) { places.insert(core.upperBound) }
        }
        let hasSign = text.unicodeScalars.contains(Self.sign)
        guard !places.isEmpty || hasSign else { return text }
        var sealed: [UInt8] = []
        for place in 0...bytes.count {
            if places.contains(place) { sealed += Self.signBytes }
            guard place < bytes.count else { break }
            if hasSign, bytes[place...].starts(with: Self.signBytes) { sealed += Self.signBytes }
            sealed.append(bytes[place])
        }
        return String(decoding: sealed, as: UTF8.self)
    }

    func sealed(_ value: JSONValue) -> JSONValue {
        switch value {
        case .string(let text): .string(sealed(text))
        case .array(let elements): .array(elements.map(sealed))
        case .object(let object): .object(sealed(object))
        case .null, .bool, .int, .bigInt, .double: value
        }
    }

    func sealed(_ object: JSONObject) -> JSONObject {
        JSONObject(object.members.map { (sealed($0), sealed($1)) })
    }

    private static func trimmedRange(_ bytes: [UInt8]) -> Range<Int>? {
        guard let first = bytes.firstIndex(where: { $0 > 0x20 }), let last = bytes.lastIndex(where: { $0 > 0x20 })
        else { return nil }
        return first..<(last + 1)
    }

    /// Whether text in front could make a mark of the first characters.
    private func beginsWithinMark(_ text: ArraySlice<UInt8>) -> Bool {
        for end in text.indices.prefix(reversedMarks.longest)
        where reversedMarks.hasProperPrefix(text[text.startIndex...end].reversed()) { return true }
        // Or text on both sides, of all of it.
        guard text.count < reversedMarks.longest, text.contains(where: { Self.isPunctuation($0) }) else { return false }
        return markTexts.contains { $0.dropFirst().dropLast().firstRange(of: text) != nil }
    }

    /// Whether text behind could make a mark of the last characters.
    private func endsWithinMark(_ text: ArraySlice<UInt8>) -> Bool {
        text.indices.suffix(marks.longest).contains { marks.hasProperPrefix(text[$0...]) }
    }

    // MARK: Opening

    /// The text without signs, and the offsets in its UTF-8 where they were.
    static func opened(_ text: String) -> (text: String, seams: [Int]) {
        guard text.unicodeScalars.contains(sign) else { return (text, []) }
        var opened: [UInt8] = []
        var seams: [Int] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.first {
            if rest.starts(with: signBytes) {
                rest = rest.dropFirst(signBytes.count)
                guard rest.starts(with: signBytes) else {
                    if seams.last != opened.count { seams.append(opened.count) }
                    continue
                }
                opened += signBytes
                rest = rest.dropFirst(signBytes.count)
            } else {
                opened.append(byte)
                rest = rest.dropFirst()
            }
        }
        return (String(decoding: opened, as: UTF8.self), seams)
    }
}

extension Character {
    var isASCIIWord: Bool { isASCII && (isLetter || isNumber) }
}

extension UTF8 {
    fileprivate static func width(startingWith byte: UInt8) -> Int {
        byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4
    }
}

/// Byte strings, to be found as prefixes.
private struct ByteTree {
    /// Node << 8 | byte → node. The root is 0.
    private var children: [Int: Int] = [:]
    private var isEnd = [false]
    private var isInner = [false]
    private var isFirst = [Bool](repeating: false, count: 256)
    private(set) var longest = 0

    mutating func insert(_ bytes: some Sequence<UInt8>) {
        var node = 0
        var length = 0
        for byte in bytes {
            if node == 0 { isFirst[Int(byte)] = true }
            let key = node << 8 | Int(byte)
            isInner[node] = true
            node = children[key] ?? isEnd.count
            if node == isEnd.count {
                children[key] = node
                isEnd.append(false)
                isInner.append(false)
            }
            length += 1
        }
        isEnd[node] = true
        longest = max(longest, length)
    }

    func longestMatch(_ bytes: [UInt8], from start: Int) -> Int? {
        guard isFirst[Int(bytes[start])] else { return nil }
        var node = 0
        var length: Int?
        for place in start..<bytes.count {
            guard let next = children[node << 8 | Int(bytes[place])] else { break }
            node = next
            if isEnd[node] { length = place + 1 - start }
        }
        return length
    }

    /// Whether a longer string begins with these bytes.
    func hasProperPrefix(_ bytes: some Sequence<UInt8>) -> Bool {
        var node = 0
        for byte in bytes {
            guard let next = children[node << 8 | Int(byte)] else { return false }
            node = next
        }
        return node != 0 && isInner[node]
    }
}
