/// Marks places in messages with a character that nobody else uses, to find these places in a rendered text.
struct PlaceMarker {
    fileprivate let sign: Unicode.Scalar

    /// - Parameter messages: sealed ones, as all of the conversation: U+10FFFD means something there.
    init(absentFrom messages: [ChatMessage], _ conversation: Conversation, _ template: ChatTemplate) {
        var seen: Set<UInt32> = []
        func see(_ text: String?) {
            guard let text else { return }
            // Characters of this plane begin with F4.
            guard text.utf8.contains(0xF4) else { return }
            for scalar in text.unicodeScalars where scalar.value > 0x10_0000 { seen.insert(scalar.value) }
        }
        for message in messages {
            message.parts.forEach(see)
            for text in [message.reasoning, message.name, message.toolCallID] { see(text) }
            for call in message.toolCalls {
                see(call.id)
                see(call.name)
                see(JSONValue.object(call.arguments).text())
            }
        }
        see(JSONValue.array(conversation.tools).text())
        see(JSONValue.object(conversation.variables).text())
        see(conversation.reasoning.effort)
        see(template.source)
        // A conversation that has them all is larger than most contexts: one of its own is taken for a mark then.
        let free = (0x10_0001...0x10_FFFC).reversed().first { !seen.contains($0) }
        sign = free.flatMap { Unicode.Scalar($0) } ?? "\u{10FFFC}"
    }

    func mark(_ number: Int) -> String { "\(sign)\(number)\(sign)" }
}

/// A rendered text whose marks have been taken out.
struct MarkedText {
    private var bytes: [UInt8] = []
    /// By number: where it was first.
    private var places: [Int: Int] = [:]

    init(_ text: String, _ marker: PlaceMarker) {
        let sign = Array(String(marker.sign).utf8)
        let marked = Array(text.utf8)
        let signs = utf8Occurrences(of: sign, in: marked)
        bytes.reserveCapacity(marked.count)
        var position = 0
        for index in stride(from: 0, to: signs.count - 1, by: 2) {
            bytes += marked[position..<signs[index]]
            let digits = marked[(signs[index] + sign.count)..<signs[index + 1]]
            if let number = Int(String(decoding: digits, as: UTF8.self)), places[number] == nil {
                places[number] = bytes.count
            }
            position = signs[index + 1] + sign.count
        }
        bytes += marked[position...]
    }

    var text: String { String(decoding: bytes, as: UTF8.self) }

    func place(of number: Int) -> Int? { places[number] }

    /// Puts texts in front of calls.
    /// - Parameter texts: each with the number of the mark in the name of the call; in order.
    /// - Returns: false where the beginning of a call is not found.
    mutating func insert(_ texts: [(mark: Int, text: String)], _ syntax: OutputSyntax) -> Bool {
        var result: [UInt8] = []
        var position = 0
        for (mark, text) in texts {
            guard let name = places[mark], name >= position,
                let start = callStart(in: position..<name, syntax)
            else { return false }
            result += bytes[position..<start]
            if syntax.form == .harmony {
                // What the model says before it calls is a comment to nobody in particular.
                result += "<|start|>assistant<|channel|>commentary<|message|>\(text)<|end|>".utf8
            } else {
                // White space in front of the mark stays there, and is in front of the text too.
                let layout = bytes[position..<start].reversed().prefix { $0 == 0x0A || $0 == 0x20 }.reversed()
                result += text.utf8
                if !text.utf8.reversed().starts(with: layout.reversed()) { result += layout }
            }
            position = start
        }
        result += bytes[position...]
        let added = result.count - bytes.count
        bytes = result
        // Places between the texts are of no use any more.
        places = places.filter { $0.value >= position }.mapValues { $0 + added }
        return true
    }

    /// Where the call begins whose name ends a range of the text.
    private func callStart(in range: Range<Int>, _ syntax: OutputSyntax) -> Int? {
        func last(_ mark: String, before end: Int) -> Int? {
            let mark = Array(mark.utf8)
            var start = end - mark.count
            while start >= range.lowerBound {
                if bytes[start] == mark[0], bytes[start..<(start + mark.count)].elementsEqual(mark) { return start }
                start -= 1
            }
            return nil
        }
        let end = range.upperBound
        if syntax.form == .harmony { return last("<|start|>assistant", before: end) }
        guard let calls = syntax.calls, let open = last(calls.open, before: end) else { return nil }
        guard let section = calls.section?.open, let start = last(section, before: open),
            bytes[(start + section.utf8.count)..<open].allSatisfy({ $0 <= 0x20 })
        else { return open }
        return start
    }
}
