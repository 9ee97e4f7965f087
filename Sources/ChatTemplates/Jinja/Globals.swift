/// The functions every template knows: Jinja's own and those transformers adds.
enum JinjaGlobals {
    /// The global called `name`, unless the context has a variable of that name.
    static func value(named name: String) -> JinjaValue? {
        switch name {
        case "range": .function(name) { arguments, evaluator throws(TemplateError) in try range(arguments, evaluator) }
        case "dict":
            .function(name) { arguments, evaluator throws(TemplateError) in
                .dictionary(try dictionary(arguments, evaluator))
            }
        case "namespace":
            .function(name) { arguments, evaluator throws(TemplateError) in
                let namespace = JinjaNamespace()
                namespace.values = try dictionary(arguments, evaluator)
                for key in namespace.values.keys {
                    if let name = key.text { try evaluator.checkNamespaceName(name) }
                }
                evaluator.register(namespace)
                return .object(namespace)
            }
        case "raise_exception":
            .function(name) { arguments, evaluator throws(TemplateError) in
                let message = try arguments.bound(to: ["message"], required: 1, in: name)[0] ?? .none
                throw TemplateError(.raised, try evaluator.text(of: message))
            }
        case "strftime_now":
            .function(name) { arguments, evaluator throws(TemplateError) in
                guard let format = try arguments.bound(to: ["format"], required: 1, in: name)[0]?.text else {
                    throw TemplateError(.type, "strftime_now() argument must be str")
                }
                try evaluator.charge(format.utf8.count * 16)
                return .string(evaluator.clock().formatted(format))
            }
        case "cycler":
            .function(name) { arguments, _ throws(TemplateError) in
                guard !arguments.positional.isEmpty else {
                    throw TemplateError(.type, "at least one item has to be provided")
                }
                return .object(JinjaCycler(arguments.positional))
            }
        case "joiner":
            .function(name) { arguments, evaluator throws(TemplateError) in
                let separator = try arguments.bound(to: ["sep"], in: name)[0] ?? .string(", ")
                return .object(JinjaJoiner(separator))
            }
        case "lipsum":
            .function(name) { _, _ throws(TemplateError) in
                throw TemplateError(.unsupported, "'lipsum' is not available in chat templates")
            }
        case "self": .object(JinjaObject())
        default: nil
        }
    }

    private static func range(_ arguments: Arguments, _ evaluator: Evaluator) throws(TemplateError) -> JinjaValue {
        var numbers: [Int] = []
        for value in arguments.positional {
            if case .undefined(let missing) = value { throw missing.error }
            guard let number = value.integer else {
                throw TemplateError(.type, "'\(value.typeName)' object cannot be interpreted as an integer")
            }
            numbers.append(number)
        }
        guard 1...3 ~= numbers.count, arguments.keyword.isEmpty else {
            throw TemplateError(.type, "range expected 1 to 3 arguments, got \(numbers.count)")
        }
        let start = numbers.count == 1 ? 0 : numbers[0]
        let stop = numbers.count == 1 ? numbers[0] : numbers[1]
        let step = numbers.count == 3 ? numbers[2] : 1
        guard step != 0 else { throw TemplateError(.value, "range() arg 3 must not be zero") }
        var elements: [JinjaValue] = []
        var number = start
        while step > 0 ? number < stop : number > stop {
            guard elements.count < TemplateLimits.rangeLength else {
                throw TemplateError(
                    .overflow,
                    "Range too big. The sandbox blocks ranges larger than MAX_RANGE (\(TemplateLimits.rangeLength)).")
            }
            elements.append(.int(number))
            let (next, overflow) = number.addingReportingOverflow(step)
            if overflow { break }
            number = next
        }
        try evaluator.charge(elements: elements.count)
        return .sequence(JinjaSequence(.range(start: start, stop: stop, step: step), elements))
    }

    /// Python's `dict(mapping or pairs, **keywords)`.
    static func dictionary(_ arguments: Arguments, _ evaluator: Evaluator) throws(TemplateError) -> JinjaDictionary {
        guard arguments.positional.count <= 1 else {
            throw TemplateError(.type, "dict expected at most 1 argument, got \(arguments.positional.count)")
        }
        var dictionary = JinjaDictionary()
        switch arguments.positional.first {
        case nil: break
        case .dictionary(let other):
            try evaluator.charge(elements: other.count)
            dictionary = other.copy()
        case .object(let object as JinjaNamespace): dictionary = object.values.copy()
        case let pairs?:
            for pair in try evaluator.elements(of: pairs) {
                let both = try evaluator.elements(of: pair)
                guard both.count == 2 else {
                    throw TemplateError(
                        .value, "dictionary update sequence element has length \(both.count); 2 is required")
                }
                try evaluator.charge(elements: 2)
                dictionary.set(both[0], try evaluator.hashKey(both[0]), to: both[1])
            }
        }
        for (name, value) in arguments.keyword { dictionary.set(.string(name), .string(CodePoints(name)), to: value) }
        return dictionary
    }
}

/// `cycler(a, b, …)`
final class JinjaCycler: JinjaObject {
    private let items: [JinjaValue]
    private var position = 0

    init(_ items: [JinjaValue]) { self.items = items }

    override var typeName: String { "Cycler" }
    override var contents: [JinjaValue] { items }

    override func attribute(_ name: String) throws(TemplateError) -> JinjaValue? {
        switch name {
        case "current": return items[position]
        case "next":
            return .function(name) { [self] _, _ throws(TemplateError) in
                defer { position = (position + 1) % items.count }
                return items[position]
            }
        case "reset":
            return .function(name) { [self] _, _ throws(TemplateError) in
                position = 0
                return .none
            }
        default: return nil
        }
    }
}

/// `joiner(separator)`: nothing at the first call, the separator afterwards.
final class JinjaJoiner: JinjaObject {
    private let separator: JinjaValue
    private var wasCalled = false

    init(_ separator: JinjaValue) { self.separator = separator }

    override var typeName: String { "Joiner" }
    override var contents: [JinjaValue] { [separator] }
    override var isCallable: Bool { true }

    override func call(_ arguments: Arguments, _ evaluator: Evaluator) throws(TemplateError) -> JinjaValue {
        defer { wasCalled = true }
        return wasCalled ? separator : .string("")
    }
}
