extension CallReader {
    /// A value between tags that is being read.
    struct OpenValue {
        let start: Int
        let key: String
        /// What a flag in the tag says.
        let isString: Bool?
        let form: ValueForm
        let end: ValueEnd
        var progress = ValueEnd.Progress()
        /// Where the last closing mark begins, and the last end of a call.
        var lastClose = 0
        var lastCallEnd = 0
        /// Where another parameter begins without the last closing mark before it having ended this one, and the same as
        /// it was at that closing mark.
        var opening: Int?
        var openingBeforeClose: Int?
        /// The first and the last end of a call with all that closes it.
        var firstWholeEnd: Int?
        var lastWholeEnd: Int?
    }

    mutating func readTags(_ buffer: [UInt8]) throws(CallError) -> Bool {
        guard case .tagged(let tags) = calls.arguments else { return true }
        switch stage {
        case .tagKey(let start):
            guard let key = try text(upTo: tags.keyEnd, from: start, buffer) else { return false }
            guard !key.isEmpty else { throw CallError("a parameter has no name") }
            if tags.stringFlagEnd != nil {
                stage = .tagFlag(start: cursor, key: key)
            } else if tags.valueOpen != nil {
                stage = .tagValueOpen(key: key)
            } else {
                openValue(tags, key: key, isString: nil)
            }
        case .tagFlag(let start, let key):
            guard let flag = try text(upTo: tags.stringFlagEnd ?? "", from: start, buffer) else { return false }
            openValue(tags, key: key, isString: flag == "true")
        case .tagValueOpen(let key):
            guard try expect(tags.valueOpen ?? "", buffer) else { return false }
            openValue(tags, key: key, isString: nil)
        case .tagValue(let value): return try readValue(tags, value, buffer)
        default: return try readTagOrClose(tags, buffer)
        }
        return true
    }

    private mutating func readTagOrClose(_ tags: OutputSyntax.Tags, _ buffer: [UInt8]) throws(CallError) -> Bool {
        skipWhitespace(buffer)
        guard cursor < buffer.count else { return false }
        switch match(tags.open, buffer, at: cursor) {
        case .yes(let end):
            cursor = end
            stage = .tagKey(start: end)
            return true
        case .partial: return false
        case .no: break
        }
        if let close = calls.close, case .partial = match(close, buffer, at: cursor) { return false }
        if let close = calls.close, case .yes = match(close, buffer, at: cursor) {
            stage = .close
            return true
        }
        // Models forget the inner closing mark and go on with the outer one.
        if let section = calls.section {
            switch match(section.close, buffer, at: cursor) {
            case .yes:
                finishCall()
                return true
            case .partial: return false
            case .no: break
            }
        }
        throw CallError("expected '\(tags.open)' or '\(calls.close ?? "")'")
    }

    /// Text from `start` to the mark, which `cursor` is moved behind; nil if it has not come yet.
    private mutating func text(upTo mark: String, from start: Int, _ buffer: [UInt8]) throws(CallError) -> String? {
        while cursor < buffer.count {
            switch match(mark, buffer, at: cursor) {
            case .yes(let end):
                defer { cursor = end }
                return String(decoding: buffer[start..<cursor], as: UTF8.self)
            case .partial: return nil
            case .no: cursor += 1
            }
            guard cursor - start <= Self.maximumNameLength else { throw CallError("expected '\(mark)'") }
        }
        return nil
    }

    // MARK: Values

    private mutating func openValue(_ tags: OutputSyntax.Tags, key: String, isString: Bool?) {
        let others = schemas.keys(of: name).filter { arguments[$0] == nil && !$0.sameCodePoints(as: key) }
        stage = .tagValue(
            OpenValue(
                start: cursor, key: key, isString: isString, form: schemas.form(of: key, of: name),
                end: ValueEnd(calls, tags, openings: others)))
    }

    private mutating func readValue(
        _ tags: OutputSyntax.Tags, _ open: OpenValue, _ buffer: [UInt8]
    ) throws(CallError) -> Bool {
        var value = open
        while cursor < buffer.count {
            let found = value.end.read(buffer[cursor], &value.progress)
            cursor += 1
            guard let marks = found else { continue }
            if let length = marks.opening, value.opening == nil { value.opening = cursor - length }
            if marks.close {
                value.lastClose = cursor - tags.close.utf8.count
                (value.openingBeforeClose, value.opening) = (value.opening, nil)
            }
            if marks.follower != nil {
                guard !marks.isNameless else { throw CallError("a parameter has no name") }
                if let opening = value.openingBeforeClose {
                    endUnclosed(value, tags, at: opening, buffer)
                } else {
                    set(value, buffer[value.start..<value.lastClose], tags)
                    cursor = value.lastClose + tags.close.utf8.count
                    stage = .tags
                }
                return true
            }
            if marks.nextCall {
                endUnclosed(value, tags, at: value.opening ?? value.lastCallEnd, buffer)
                return true
            }
            if let length = marks.callEnd {
                value.lastCallEnd = cursor - length
                if calls.section == nil { value.addWholeEnd() }
            }
            if marks.sectionEnd { value.addWholeEnd() }
        }
        stage = .tagValue(value)
        return false
    }

    /// At the end of the output: whether the value that is being read ends without a closing mark, since the end of its
    /// call is there. Reading can go on then.
    /// - Parameter isTruncated: whether the output was cut; what stands between then counts for the value.
    mutating func endsUnclosedValue(_ buffer: [UInt8], isTruncated: Bool) -> Bool {
        guard case .tagged(let tags) = calls.arguments, case .tagValue(let value) = stage else { return false }
        var end = buffer.count
        func cut(_ mark: String?) -> Bool {
            var place = end
            while place > value.start, Self.isWhitespace(buffer[place - 1]) { place -= 1 }
            guard let mark, !mark.isEmpty, place - value.start >= mark.utf8.count,
                buffer[(place - mark.utf8.count)..<place].elementsEqual(mark.utf8)
            else { return false }
            end = place - mark.utf8.count
            return true
        }
        // The last end of a call, if nothing follows it; the end of the section may be missing, or that of the call.
        let hasSection = cut(calls.section?.close)
        guard cut(calls.close) || hasSection || !isTruncated && value.lastWholeEnd != nil else { return false }
        if end == buffer.count, let whole = value.lastWholeEnd { end = whole }
        endUnclosed(value, tags, at: value.opening ?? end, buffer)
        return true
    }

    /// Ends a value at what comes instead of its closing mark.
    private mutating func endUnclosed(_ value: OpenValue, _ tags: OutputSyntax.Tags, at place: Int, _ buffer: [UInt8]) {
        var bytes = buffer[value.start..<place]
        if !tags.trimsNewlines, bytes.last == 0x0A { bytes.removeLast() }
        set(value, bytes, tags)
        cursor = place
        stage = .tags
    }

    private mutating func set(_ value: OpenValue, _ bytes: ArraySlice<UInt8>, _ tags: OutputSyntax.Tags) {
        let text = String(decoding: tags.trimmed(bytes), as: UTF8.self)
        switch value.isString {
        case true?: arguments[value.key] = .string(text)
        case false?:
            let json = try? JSONValue(parsing: text)
            // The flag says JSON, the schema says text: only a JSON string is one.
            let isText = value.form.spelling == .text && json?.stringValue == nil
            arguments[value.key] = isText ? .string(text) : json ?? .string(text)
        case nil: arguments[value.key] = value.form.value(of: text)
        }
    }
}

extension CallReader.OpenValue {
    fileprivate mutating func addWholeEnd() {
        lastWholeEnd = lastCallEnd
        if firstWholeEnd == nil { firstWholeEnd = lastCallEnd }
    }

    /// Where the part of the value ends that is certain, if everything up to `cursor` has been read.
    func certainEnd(_ cursor: Int) -> Int {
        let undecided = end.undecidedLength(
            progress, lastClose: cursor - lastClose, lastCallEnd: cursor - lastCallEnd)
        let places = [opening, progress.afterClose || undecided > 0 ? openingBeforeClose : nil, firstWholeEnd]
        return max(start, places.compactMap { $0 }.reduce(cursor - undecided, min))
    }

    /// Whether it is a text that can be told while it is written.
    var isText: Bool { isString ?? (form.spelling == .text) && isString != false }
}

extension OutputSyntax.Tags {
    /// Without the line breaks that belong to the notation.
    func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var bytes = bytes
        if trimsNewlines {
            if bytes.first == 0x0A { bytes.removeFirst() }
            if bytes.last == 0x0A { bytes.removeLast() }
        }
        return bytes
    }
}
