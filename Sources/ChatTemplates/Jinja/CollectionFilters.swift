extension Evaluator {
    func applyToCollection(
        _ filter: JinjaFilter, _ value: JinjaValue, _ arguments: Arguments
    ) throws(TemplateError) -> JinjaValue {
        let name = filter.rawValue
        switch filter {
        case .length:
            _ = try arguments.bound(to: [], in: name)
            return .int(try length(of: value))
        case .items:
            switch value {
            case .undefined: return .generator([])
            case .dictionary(let dictionary): return .generator(try items(of: dictionary))
            default: throw TemplateError(.type, "Can only get item pairs from a mapping.")
            }
        case .list:
            let elements = try elements(of: value)
            try charge(elements: elements.count)
            return .list(elements)
        case .first: return try elements(of: value).first ?? .undefined(.other("No first item, sequence was empty."))
        case .last: return try elements(of: value).last ?? .undefined(.other("No last item, sequence was empty."))
        case .random:
            // The first one: the same prompt every time is worth more here than chance.
            return try elements(of: value).first ?? .undefined(.other("No random item, sequence was empty."))
        case .reverse:
            if let text = value.text {
                var view = String.UnicodeScalarView()
                view.append(contentsOf: text.unicodeScalars.reversed())
                return .string(String(view))
            }
            let elements = try elements(of: value)
            try charge(elements: elements.count)
            return .generator(elements.reversed())
        case .join: return try joined(value, arguments)
        case .map: return try mapped(value, arguments)
        case .select, .reject, .selectattr, .rejectattr: return try selected(filter, value, arguments)
        case .sort: return try sorted(value, arguments)
        case .dictsort: return try sortedItems(value, arguments)
        case .unique: return try unique(value, arguments)
        case .min, .max: return try extreme(filter, value, arguments)
        case .groupby: return try grouped(value, arguments)
        case .sum: return try sum(value, arguments)
        case .batch: return try batches(value, arguments)
        default: return try slices(value, arguments)
        }
    }

    private func length(of value: JinjaValue) throws(TemplateError) -> Int {
        switch value {
        case .undefined: return 0
        case .string(let text), .markup(let text):
            try charge(text.utf8.count / 4)
            return text.unicodeScalars.count
        case .dictionary(let dictionary): return dictionary.count
        case .sequence(let sequence) where !sequence.isGenerator: return sequence.elements.count
        case .object(let loop as LoopVariable): return try loop.count()
        default: throw TemplateError(.type, "object of type '\(value.typeName)' has no len()")
        }
    }

    // MARK: Attributes of elements

    /// Takes `a.b.0` of an element, as the `attribute` argument of many filters means it.
    private func path(_ attribute: JinjaValue?) throws(TemplateError) -> [JinjaValue] {
        guard let attribute, !attribute.isNone else { return [] }
        guard let text = attribute.text else { return [attribute] }
        return text.unicodeScalars.split(separator: ".", omittingEmptySubsequences: false).map {
            let part = String($0)
            return Int(part).map(JinjaValue.int) ?? .string(part)
        }
    }

    private func follow(
        _ path: [JinjaValue], from element: JinjaValue, default standard: JinjaValue? = nil
    ) throws(TemplateError) -> JinjaValue {
        var value = element
        for part in path {
            value = try item(part, of: value)
            if let standard, value.isUndefined { value = standard }
        }
        return value
    }

    /// Upper and lower case are one for `sort`, `unique` and the like unless asked otherwise.
    private func folded(_ value: JinjaValue, caseSensitive: JinjaValue?) -> JinjaValue {
        guard !(caseSensitive?.isTrue ?? false), let text = value.text else { return value }
        return .string(lowercased(text))
    }

    // MARK: Choosing

    private func mapped(_ value: JinjaValue, _ arguments: Arguments) throws(TemplateError) -> JinjaValue {
        // As in Jinja, nothing at all counts as an empty list here.
        guard value.isTrue else { return .generator([]) }
        let elements = try elements(of: value)
        try charge(elements: elements.count)
        var results: [JinjaValue] = []
        if arguments.positional.isEmpty, let attribute = arguments.keyword.first(where: { $0.name == "attribute" }) {
            let path = try path(attribute.value)
            let standard = arguments.keyword.first { $0.name == "default" }?.value
            if let unknown = arguments.keyword.first(where: { $0.name != "attribute" && $0.name != "default" }) {
                throw TemplateError(.type, "Unexpected keyword argument '\(unknown.name)'")
            }
            for element in elements { results.append(try follow(path, from: element, default: standard)) }
        } else {
            var rest = arguments
            guard !rest.positional.isEmpty, let filter = rest.positional.removeFirst().text else {
                throw TemplateError(.type, "map requires a filter argument")
            }
            for element in elements {
                try step()
                results.append(try apply(filter: filter, to: element, rest))
            }
        }
        return .generator(results)
    }

    private func selected(
        _ filter: JinjaFilter, _ value: JinjaValue, _ arguments: Arguments
    ) throws(TemplateError) -> JinjaValue {
        guard value.isTrue else { return .generator([]) }
        var rest = arguments
        var path: [JinjaValue] = []
        if filter == .selectattr || filter == .rejectattr {
            guard !rest.positional.isEmpty else { throw TemplateError(.type, "Missing parameter for attribute name") }
            path = try self.path(rest.positional.removeFirst())
        }
        let test = rest.positional.isEmpty ? nil : try text(of: rest.positional.removeFirst())
        let keeps = filter == .select || filter == .selectattr
        var kept: [JinjaValue] = []
        for element in try elements(of: value) {
            try step()
            let subject = try follow(path, from: element)
            let isTrue = try test.map { test throws(TemplateError) in try check(test: test, of: subject, rest) }
            if (isTrue ?? subject.isTrue) == keeps { kept.append(element) }
        }
        try charge(elements: kept.count)
        return .generator(kept)
    }

    private func unique(_ value: JinjaValue, _ arguments: Arguments) throws(TemplateError) -> JinjaValue {
        let bound = try arguments.bound(to: ["case_sensitive", "attribute"], in: "unique")
        let path = try path(bound[1])
        var seen: Set<HashKey> = []
        var kept: [JinjaValue] = []
        for element in try elements(of: value) {
            try step()
            let key = folded(try follow(path, from: element), caseSensitive: bound[0])
            if seen.insert(try hashKey(key)).inserted { kept.append(element) }
        }
        return .generator(kept)
    }

    private func extreme(
        _ filter: JinjaFilter, _ value: JinjaValue, _ arguments: Arguments
    ) throws(TemplateError) -> JinjaValue {
        let bound = try arguments.bound(to: ["case_sensitive", "attribute"], in: filter.rawValue)
        let path = try path(bound[1])
        var best: (element: JinjaValue, key: JinjaValue)?
        for element in try elements(of: value) {
            let key = folded(try follow(path, from: element), caseSensitive: bound[0])
            if let current = best {
                let isBetter =
                    filter == .max ? try holds(.greater, key, current.key) : try holds(.less, key, current.key)
                if isBetter { best = (element, key) }
            } else {
                best = (element, key)
            }
        }
        return best?.element ?? .undefined(.other("No aggregated item, sequence was empty."))
    }

    // MARK: Order

    /// Stable merge sort, since the comparison can fail.
    private func sorted(
        _ elements: [(key: [JinjaValue], element: JinjaValue)], reverse: Bool
    ) throws(TemplateError) -> [JinjaValue] {
        func isBefore(_ left: [JinjaValue], _ right: [JinjaValue]) throws(TemplateError) -> Bool {
            for (a, b) in zip(left, right) where !(try areEqual(a, b)) {
                return try reverse ? holds(.less, b, a) : holds(.less, a, b)
            }
            return false
        }
        var current = elements
        var width = 1
        while width < current.count {
            var next: [(key: [JinjaValue], element: JinjaValue)] = []
            next.reserveCapacity(current.count)
            var start = 0
            while start < current.count {
                let middle = min(start + width, current.count)
                let end = min(start + 2 * width, current.count)
                var left = start
                var right = middle
                while left < middle, right < end {
                    if try isBefore(current[right].key, current[left].key) {
                        next.append(current[right])
                        right += 1
                    } else {
                        next.append(current[left])
                        left += 1
                    }
                }
                next += current[left..<middle]
                next += current[right..<end]
                start = end
            }
            current = next
            width *= 2
        }
        return current.map(\.element)
    }

    private func sorted(_ value: JinjaValue, _ arguments: Arguments) throws(TemplateError) -> JinjaValue {
        let bound = try arguments.bound(to: ["reverse", "case_sensitive", "attribute"], in: "sort")
        // Several attributes may be given, separated by commas.
        let paths: [[JinjaValue]]
        if let text = bound[2]?.text {
            var several: [[JinjaValue]] = []
            for part in text.unicodeScalars.split(separator: ",", omittingEmptySubsequences: false) {
                several.append(try path(.string(String(part))))
            }
            paths = several
        } else {
            paths = [try path(bound[2])]
        }
        var keyed: [(key: [JinjaValue], element: JinjaValue)] = []
        for element in try elements(of: value) {
            try step()
            var keys: [JinjaValue] = []
            for path in paths { keys.append(folded(try follow(path, from: element), caseSensitive: bound[1])) }
            keyed.append((keys, element))
        }
        try charge(elements: keyed.count * 2)
        return .list(try sorted(keyed, reverse: bound[0]?.isTrue ?? false))
    }

    private func sortedItems(_ value: JinjaValue, _ arguments: Arguments) throws(TemplateError) -> JinjaValue {
        let bound = try arguments.bound(to: ["case_sensitive", "by", "reverse"], in: "dictsort")
        guard case .dictionary(let dictionary) = value else {
            if case .undefined(let missing) = value { throw missing.error }
            throw TemplateError(.type, "'\(value.typeName)' object has no attribute 'items'")
        }
        let by = bound[1]?.text ?? "key"
        guard by == "key" || by == "value" else {
            throw TemplateError(.value, "You can only sort by either \"key\" or \"value\"")
        }
        let pairs = try items(of: dictionary)
        var keyed: [(key: [JinjaValue], element: JinjaValue)] = []
        for (place, pair) in pairs.enumerated() {
            let key = by == "key" ? dictionary.keys[place] : dictionary.values[place]
            keyed.append(([folded(key, caseSensitive: bound[0])], pair))
        }
        return .list(try sorted(keyed, reverse: bound[2]?.isTrue ?? false))
    }

    private func grouped(_ value: JinjaValue, _ arguments: Arguments) throws(TemplateError) -> JinjaValue {
        let bound = try arguments.bound(to: ["attribute", "default", "case_sensitive"], required: 1, in: "groupby")
        let path = try path(bound[0])
        var keyed: [(key: [JinjaValue], element: JinjaValue)] = []
        for element in try elements(of: value) {
            try step()
            let key = try follow(path, from: element, default: bound[1])
            keyed.append(([folded(key, caseSensitive: bound[2])], .tuple([key, element])))
        }
        var groups: [JinjaValue] = []
        var members: [JinjaValue] = []
        var current: JinjaValue?
        func close() {
            guard let current else { return }
            groups.append(.sequence(JinjaSequence(.group, [current, .list(members)])))
        }
        for pair in try sorted(keyed, reverse: false) {
            guard case .sequence(let both) = pair else { continue }
            let key = both.elements[0]
            if let current,
                try areEqual(folded(current, caseSensitive: bound[2]), folded(key, caseSensitive: bound[2]))
            {
                members.append(both.elements[1])
            } else {
                close()
                current = key
                members = [both.elements[1]]
            }
        }
        close()
        return .list(groups)
    }

    // MARK: Putting together and cutting up

    private func joined(_ value: JinjaValue, _ arguments: Arguments) throws(TemplateError) -> JinjaValue {
        let bound = try arguments.bound(to: ["d", "attribute"], in: "join")
        let separator = try bound[0].map { value throws(TemplateError) in try text(of: value) } ?? ""
        let path = try path(bound[1])
        var result = ""
        for (place, element) in try elements(of: value).enumerated() {
            let part = try text(of: try follow(path, from: element))
            try charge(part.utf8.count + separator.utf8.count)
            if place > 0 { result += separator }
            result += part
            guard result.utf8.count <= limits.outputBytes else {
                throw TemplateError(.limit, "a value is larger than \(limits.outputBytes) bytes")
            }
        }
        return .string(result)
    }

    private func sum(_ value: JinjaValue, _ arguments: Arguments) throws(TemplateError) -> JinjaValue {
        let bound = try arguments.bound(to: ["attribute", "start"], in: "sum")
        let path = try path(bound[0])
        var total = bound[1] ?? .int(0)
        if total.text != nil { throw TemplateError(.type, "sum() can't sum strings [use ''.join(seq) instead]") }
        for element in try elements(of: value) {
            try step()
            total = try compute(.add, total, try follow(path, from: element))
        }
        return total
    }

    private func batches(_ value: JinjaValue, _ arguments: Arguments) throws(TemplateError) -> JinjaValue {
        let bound = try arguments.bound(to: ["linecount", "fill_with"], required: 1, in: "batch")
        guard let count = bound[0]?.integer, count > 0 else {
            throw TemplateError(.value, "batch: the size must be a positive integer")
        }
        let elements = try elements(of: value)
        try charge(elements: elements.count)
        var batches: [[JinjaValue]] = []
        for element in elements {
            if batches.isEmpty || batches[batches.count - 1].count == count { batches.append([]) }
            batches[batches.count - 1].append(element)
        }
        if let fill = bound[1], !fill.isNone, let last = batches.last, last.count < count {
            guard count - last.count <= limits.steps else {
                throw TemplateError(.limit, "a list is longer than \(limits.steps) elements")
            }
            try charge(elements: count - last.count)
            batches[batches.count - 1] += Array(repeating: fill, count: count - last.count)
        }
        return .generator(batches.map { .list($0) })
    }

    private func slices(_ value: JinjaValue, _ arguments: Arguments) throws(TemplateError) -> JinjaValue {
        let bound = try arguments.bound(to: ["slices", "fill_with"], required: 1, in: "slice")
        guard let count = bound[0]?.integer, count > 0 else {
            throw TemplateError(.zeroDivision, "slice: the number must be a positive integer")
        }
        guard count <= limits.steps else {
            throw TemplateError(.limit, "a list is longer than \(limits.steps) elements")
        }
        let elements = try elements(of: value)
        try charge(elements: elements.count + count)
        let (size, larger) = elements.count.quotientAndRemainder(dividingBy: count)
        var slices: [JinjaValue] = []
        var start = 0
        for number in 0..<count {
            let end = start + size + (number < larger ? 1 : 0)
            var slice = Array(elements[start..<end])
            if let fill = bound[1], !fill.isNone, number >= larger { slice.append(fill) }
            slices.append(.list(slice))
            start = end
        }
        return .generator(slices)
    }
}
