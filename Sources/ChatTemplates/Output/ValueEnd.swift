/// Where a value ends that stands between tags without quotes and escapes. Nothing else decides that: the reader of
/// calls runs this over the output, and the grammar that holds a call to its form is made from it.
///
/// - A closing mark ends the value if something follows that can follow it: the next parameter or the end of the call.
///   Elsewhere it is text of the value, such as the closing tag in a file that an agent writes.
/// - A declared parameter that was not written yet, begun at the beginning of a line before the last one was closed, ends
///   the last one too, unless a closing mark follows that closes nothing else.
/// - The end of a call in front of the next call ends the value. (So does the end of a call at the end of the output,
///   which is for the reader to see.)
package struct ValueEnd: Sendable, Hashable {
    /// After which mark, with nothing but white space behind it, a chain of characters counts.
    enum Hub: UInt8 {
        /// Anywhere.
        case anywhere
        case close
        case callEnd
        case sectionEnd
    }

    enum Meaning: Hashable {
        case close
        /// The tag of another parameter.
        case opening
        /// The tag of a parameter that has no name.
        case nameless
        case callEnd
        case sectionEnd
        /// The end of the section where that of the call is missing.
        case outerEnd
        /// What may follow a closing mark.
        case follower
        /// A tag without a name behind a closing mark.
        case namelessFollower
        case nextCall
    }

    struct Chain: Hashable {
        var from: Hub
        var bytes: [UInt8]
        var meaning: Meaning
    }

    let chains: [Chain]
    /// Whether the tag of a parameter ends an unclosed value only at the beginning of a line.
    package let startsLine: Bool
    private let isFirst: Set<UInt8>

    /// - Parameter keys: the parameters that may come unclosed.
    init(_ calls: OutputSyntax.Calls, _ tags: OutputSyntax.Tags, openings keys: [String]) {
        var chains: [Chain] = []
        func add(_ hub: Hub, _ mark: String?, _ meaning: Meaning) {
            guard let mark, !mark.isEmpty else { return }
            let chain = Chain(from: hub, bytes: Array(mark.utf8), meaning: meaning)
            if !chains.contains(chain) { chains.append(chain) }
        }
        add(.anywhere, tags.close, .close)
        for key in keys { add(.anywhere, tags.open + key + tags.keyEnd, .opening) }
        for mark in [tags.open, calls.close, calls.section?.close] { add(.close, mark, .follower) }
        add(.anywhere, tags.namelessOpen, .nameless)
        add(.close, tags.namelessOpen, .namelessFollower)
        add(.anywhere, calls.close, .callEnd)
        add(.callEnd, calls.section?.close, .sectionEnd)
        add(.anywhere, calls.section?.close, .outerEnd)
        for hub in [Hub.callEnd, .sectionEnd] {
            add(hub, calls.open, .nextCall)
            add(hub, calls.section?.open, .nextCall)
        }
        self.chains = chains
        startsLine = tags.startsLine
        isFirst = Set(chains.compactMap { $0.from == .anywhere ? $0.bytes.first : nil })
    }

    /// Different for different ends.
    package var cacheKey: String {
        let texts = chains.map { chain -> JSONValue in
            [
                .int(Int(chain.from.rawValue)), .string(String(decoding: chain.bytes, as: UTF8.self)),
                .string("\(chain.meaning)"),
            ]
        }
        return JSONValue.array(texts).text() + "\(startsLine)"
    }

    /// A mark that has begun.
    struct Place: Hashable {
        var chain: Int
        var length: Int
    }

    /// How far a value has been read.
    package struct Progress: Sendable, Hashable {
        fileprivate(set) var places: [Place] = []
        fileprivate(set) var afterClose = false
        fileprivate(set) var afterCallEnd = false
        fileprivate(set) var afterSectionEnd = false
        /// Whether the last character was a line break.
        package fileprivate(set) var isAtLine = false
        /// Whether another parameter began since the last closing mark.
        package fileprivate(set) var isOpened = false
        fileprivate var hasNameless = false

        package init() {}

        fileprivate var isIdle: Bool { places.isEmpty && !afterClose && !afterCallEnd && !afterSectionEnd }
    }

    /// The marks that a byte completes, with their lengths.
    package struct Marks {
        var close = false
        var opening: Int?
        /// Of whatever is the first that ends the call.
        var callEnd: Int?
        var sectionEnd = false
        var follower: Int?
        var isNameless = false
        var nextCall = false

        /// Whether the value has ended before this byte.
        package var isOver: Bool { follower != nil || nextCall }
    }

    /// Goes on by one byte; nil if that completes no mark.
    package func read(_ byte: UInt8, _ progress: inout Progress) -> Marks? {
        let isBlank = CallReader.isWhitespace(byte)
        defer { progress.isAtLine = byte == 0x0A }
        if progress.isIdle, !isFirst.contains(byte) { return nil }
        let before = progress
        progress.places.removeAll(keepingCapacity: true)
        if !isBlank { (progress.afterClose, progress.afterCallEnd, progress.afterSectionEnd) = (false, false, false) }
        var marks: Marks?
        func complete(_ chain: Chain) {
            var found = marks ?? Marks()
            switch chain.meaning {
            case .close:
                found.close = true
                progress.afterClose = true
                progress.isOpened = false
            case .opening:
                found.opening = chain.bytes.count
                progress.isOpened = true
            case .nameless: progress.hasNameless = true
            case .callEnd:
                found.callEnd = chain.bytes.count
                progress.afterCallEnd = true
            case .sectionEnd:
                found.sectionEnd = true
                progress.afterSectionEnd = true
            case .outerEnd:
                guard !found.sectionEnd else { return }
                found.callEnd = chain.bytes.count
                progress.afterSectionEnd = true
            case .follower: found.follower = chain.bytes.count
            case .namelessFollower:
                // In a value that has such tags they are its own.
                guard !before.hasNameless else { return }
                found.follower = chain.bytes.count
                found.isNameless = true
            case .nextCall: found.nextCall = true
            }
            marks = found
        }
        func goOn(_ chain: Int, _ length: Int) {
            guard chains[chain].bytes[length] == byte else { return }
            if length + 1 == chains[chain].bytes.count {
                complete(chains[chain])
            } else {
                progress.places.append(Place(chain: chain, length: length + 1))
            }
        }
        for place in before.places { goOn(place.chain, place.length) }
        for (index, chain) in chains.enumerated() where isReady(chain, before) { goOn(index, 0) }
        progress.places.sort { ($0.chain, $0.length) < ($1.chain, $1.length) }
        return marks
    }

    private func isReady(_ chain: Chain, _ progress: Progress) -> Bool {
        switch chain.from {
        case .anywhere: chain.meaning != .opening || !startsLine || progress.isAtLine
        case .close: progress.afterClose
        case .callEnd: progress.afterCallEnd
        case .sectionEnd: progress.afterSectionEnd
        }
    }

    /// The characters that make a difference for what comes next; all others do the same.
    package func expected(_ progress: Progress) -> Set<UInt32> {
        var scalars: Set<UInt32> = [0x0A]
        if progress.afterClose || progress.afterCallEnd || progress.afterSectionEnd {
            scalars.formUnion([0x20, 0x09, 0x0B, 0x0C, 0x0D])
        }
        func add(_ bytes: ArraySlice<UInt8>) {
            if let scalar = String(decoding: bytes.prefix(4), as: UTF8.self).unicodeScalars.first {
                scalars.insert(scalar.value)
            }
        }
        for place in progress.places { add(chains[place.chain].bytes[place.length...]) }
        for chain in chains where isReady(chain, progress) { add(chain.bytes[...]) }
        return scalars
    }

    /// Marks that values may hold as tokens of their own: closing marks that close nothing.
    package var ownMarks: [String] {
        chains.filter { $0.meaning == .close }.map { String(decoding: $0.bytes, as: UTF8.self) }
    }

    /// Where the text begins that may turn out not to be part of the value, counted back from the place that has been
    /// read. `lastClose` and `lastCallEnd` say where the last such marks began, counted likewise.
    func undecidedLength(_ progress: Progress, lastClose: Int, lastCallEnd: Int) -> Int {
        var length = 0
        if progress.afterClose { length = max(length, lastClose) }
        if progress.afterCallEnd || progress.afterSectionEnd { length = max(length, lastCallEnd) }
        for place in progress.places {
            switch chains[place.chain].from {
            case .anywhere: length = max(length, place.length)
            case .close: length = max(length, lastClose)
            case .callEnd, .sectionEnd: length = max(length, lastCallEnd)
            }
        }
        return length
    }
}
