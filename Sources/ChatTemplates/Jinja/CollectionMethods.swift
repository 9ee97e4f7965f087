/// Methods of lists, tuples and dictionaries. Jinja's immutable sandbox refuses all that change a value; some published
/// templates append to lists all the same (they run in engines without that sandbox), so the harmless ones are allowed.
extension Evaluator {
    private static let refusedListMethods: Set = ["clear", "remove", "sort", "reverse"]
    private static let refusedDictionaryMethods: Set = ["clear", "popitem", "fromkeys"]

    func method(_ name: String, of sequence: JinjaSequence) -> JinjaValue? {
        if case .group = sequence.kind, sequence.elements.count == 2 {
            if name == "grouper" { return sequence.elements[0] }
            if name == "list" { return sequence.elements[1] }
        }
        guard sequence.isList || sequence.isTuple else { return nil }
        switch name {
        case "index":
            return .function(name, of: .sequence(sequence)) { arguments, evaluator throws(TemplateError) in
                let value = try arguments.bound(to: ["value"], required: 1, in: name)[0] ?? .none
                for (place, element) in sequence.elements.enumerated() where try evaluator.areEqual(element, value) {
                    return .int(place)
                }
                throw TemplateError(
                    .value, "\(try evaluator.representation(of: value)) is not in \(sequence.typeName)")
            }
        case "count":
            return .function(name, of: .sequence(sequence)) { arguments, evaluator throws(TemplateError) in
                let value = try arguments.bound(to: ["value"], required: 1, in: name)[0] ?? .none
                var count = 0
                for element in sequence.elements where try evaluator.areEqual(element, value) { count += 1 }
                return .int(count)
            }
        default: return sequence.isList ? listMethod(name, of: sequence) : nil
        }
    }

    private func listMethod(_ name: String, of list: JinjaSequence) -> JinjaValue? {
        switch name {
        case "copy":
            return .function(name, of: .sequence(list)) { _, evaluator throws(TemplateError) in
                try evaluator.charge(elements: list.elements.count)
                return .list(list.elements)
            }
        case "append":
            return .function(name, of: .sequence(list)) { arguments, evaluator throws(TemplateError) in
                let value = try arguments.bound(to: ["object"], required: 1, in: name)[0] ?? .none
                try evaluator.charge(elements: 1)
                try evaluator.registerMutation(of: list, adding: value.nesting)
                list.elements.append(value)
                return .none
            }
        case "extend":
            return .function(name, of: .sequence(list)) { arguments, evaluator throws(TemplateError) in
                let values = try evaluator.elements(
                    of: try arguments.bound(to: ["iterable"], required: 1, in: name)[0] ?? .none)
                try evaluator.charge(elements: values.count)
                try evaluator.registerMutation(of: list, adding: values.nesting)
                list.elements += values
                return .none
            }
        case "insert":
            return .function(name, of: .sequence(list)) { arguments, evaluator throws(TemplateError) in
                let bound = try arguments.bound(to: ["index", "object"], required: 2, in: name)
                guard let index = bound[0]?.integer else { throw TemplateError(.type, "index must be an integer") }
                try evaluator.charge(elements: list.elements.count + 1)
                try evaluator.registerMutation(of: list, adding: bound[1]?.nesting ?? 0)
                let count = list.elements.count
                list.elements.insert(bound[1] ?? .none, at: min(max(index < 0 ? index + count : index, 0), count))
                return .none
            }
        case "pop":
            return .function(name, of: .sequence(list)) { arguments, evaluator throws(TemplateError) in
                let index = try arguments.bound(to: ["index"], in: name)[0]?.integer ?? -1
                let place = index < 0 ? index + list.elements.count : index
                guard list.elements.indices.contains(place) else {
                    throw TemplateError(.value, "pop index out of range")
                }
                try evaluator.step(list.elements.count)
                return list.elements.remove(at: place)
            }
        default:
            return Self.refusedListMethods.contains(name) ? .undefined(.unsafe(name, ofType: "list")) : nil
        }
    }

    func method(_ name: String, of dictionary: JinjaDictionary) -> JinjaValue? {
        switch name {
        case "keys":
            return .function(name, of: .dictionary(dictionary)) { _, evaluator throws(TemplateError) in
                try evaluator.charge(elements: dictionary.count)
                return .sequence(JinjaSequence(.dictionaryKeys, dictionary.keys))
            }
        case "values":
            return .function(name, of: .dictionary(dictionary)) { _, evaluator throws(TemplateError) in
                try evaluator.charge(elements: dictionary.count)
                return .sequence(JinjaSequence(.dictionaryValues, dictionary.values))
            }
        case "items":
            return .function(name, of: .dictionary(dictionary)) { _, evaluator throws(TemplateError) in
                .sequence(JinjaSequence(.dictionaryItems, try evaluator.items(of: dictionary)))
            }
        case "get":
            return .function(name, of: .dictionary(dictionary)) { arguments, evaluator throws(TemplateError) in
                let bound = try arguments.bound(to: ["key", "default"], required: 1, in: name)
                return dictionary[try evaluator.hashKey(bound[0] ?? .none)] ?? bound[1] ?? .none
            }
        case "copy":
            return .function(name, of: .dictionary(dictionary)) { _, evaluator throws(TemplateError) in
                try evaluator.charge(elements: dictionary.count)
                return .dictionary(dictionary.copy())
            }
        case "update":
            return .function(name, of: .dictionary(dictionary)) { arguments, evaluator throws(TemplateError) in
                let other = try JinjaGlobals.dictionary(arguments, evaluator)
                evaluator.registerMutation(of: dictionary)
                for (key, value) in zip(other.keys, other.values) {
                    dictionary.set(key, try evaluator.hashKey(key), to: value)
                }
                return .none
            }
        case "setdefault":
            return .function(name, of: .dictionary(dictionary)) { arguments, evaluator throws(TemplateError) in
                let bound = try arguments.bound(to: ["key", "default"], required: 1, in: name)
                let key = bound[0] ?? .none
                let hash = try evaluator.hashKey(key)
                if let value = dictionary[hash] { return value }
                try evaluator.charge(elements: 1)
                evaluator.registerMutation(of: dictionary)
                dictionary.set(key, hash, to: bound[1] ?? .none)
                return bound[1] ?? .none
            }
        case "pop":
            return .function(name, of: .dictionary(dictionary)) { arguments, evaluator throws(TemplateError) in
                let bound = try arguments.bound(to: ["key", "default"], required: 1, in: name)
                let key = bound[0] ?? .none
                try evaluator.step(dictionary.count)
                if let value = dictionary.removeValue(for: try evaluator.hashKey(key)) ?? bound[1] { return value }
                throw TemplateError(.value, "key \(try evaluator.representation(of: key)) not found")
            }
        default:
            return Self.refusedDictionaryMethods.contains(name) ? .undefined(.unsafe(name, ofType: "dict")) : nil
        }
    }

    /// Pairs of key and value.
    func items(of dictionary: JinjaDictionary) throws(TemplateError) -> [JinjaValue] {
        try charge(elements: dictionary.count * 3)
        return zip(dictionary.keys, dictionary.values).map { .tuple([$0, $1]) }
    }
}
