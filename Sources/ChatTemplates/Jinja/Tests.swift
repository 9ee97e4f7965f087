/// The tests of Jinja (`x is defined`).
enum JinjaTest: String {
    case boolean, callable, defined, divisibleby, escaped, even, `false`, filter, float, `in`, integer, iterable, lower
    case mapping, none, number, odd, sameas, sequence, string, test, `true`, undefined, upper
    case equal = "eq"
    case notEqual = "ne"
    case less = "lt"
    case lessOrEqual = "le"
    case greater = "gt"
    case greaterOrEqual = "ge"

    private static let otherNames: [String: JinjaTest] = [
        "==": .equal, "equalto": .equal, "!=": .notEqual, "<": .less, "lessthan": .less, "<=": .lessOrEqual,
        ">": .greater, "greaterthan": .greater, ">=": .greaterOrEqual,
    ]

    init?(named name: String) {
        guard let test = JinjaTest(rawValue: name) ?? Self.otherNames[name] else { return nil }
        self = test
    }
}

extension Evaluator {
    @inline(never)
    func check(
        test name: String, of value: JinjaValue, _ arguments: Arguments
    ) throws(TemplateError) -> Bool {
        guard let test = JinjaTest(named: name) else { throw TemplateError(.syntax, "No test named '\(name)'.") }
        switch test {
        case .divisibleby, .equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual, .in, .sameas:
            let other = try arguments.bound(to: ["other"], required: 1, in: name)[0] ?? .none
            return try check(test, value, other)
        default:
            _ = try arguments.bound(to: [], in: name)
            return try check(test, value)
        }
    }

    private func check(_ test: JinjaTest, _ value: JinjaValue, _ other: JinjaValue) throws(TemplateError) -> Bool {
        switch test {
        case .divisibleby:
            let remainder = try compute(.modulo, value, other)
            return remainder.double == 0
        case .equal: return try holds(.equal, value, other)
        case .notEqual: return try holds(.notEqual, value, other)
        case .less: return try holds(.less, value, other)
        case .lessOrEqual: return try holds(.lessOrEqual, value, other)
        case .greater: return try holds(.greater, value, other)
        case .greaterOrEqual: return try holds(.greaterOrEqual, value, other)
        case .in: return try holds(.in, value, other)
        default: return try isSame(value, other)
        }
    }

    /// Python's `is`, with small values identical when they are equal and of one type.
    private func isSame(_ left: JinjaValue, _ right: JinjaValue) throws(TemplateError) -> Bool {
        switch (left, right) {
        case (.sequence(let a), .sequence(let b)): return a === b
        case (.dictionary(let a), .dictionary(let b)): return a === b
        case (.object(let a), .object(let b)): return a === b
        default: return left.typeName == right.typeName ? try areEqual(left, right) : false
        }
    }

    private func check(_ test: JinjaTest, _ value: JinjaValue) throws(TemplateError) -> Bool {
        switch test {
        case .defined: return !value.isUndefined
        case .undefined: return value.isUndefined
        case .none: return value.isNone
        case .boolean: if case .bool = value { return true }
        case .true: if case .bool(true) = value { return true }
        case .false: if case .bool(false) = value { return true }
        case .integer:
            switch value {
            case .int, .bigInt: return true
            default: return false
            }
        case .float: if case .float = value { return true }
        case .number: return value.double != nil
        case .string: return value.text != nil
        case .escaped: return value.isMarkup
        case .mapping: if case .dictionary = value { return true }
        case .callable:
            if case .object(let object) = value { return object.isCallable }
            return value.isUndefined
        case .iterable:
            switch value {
            case .undefined, .string, .markup, .sequence, .dictionary: return true
            case .object(let object): return object is LoopVariable
            default: return false
            }
        case .sequence:
            switch value {
            case .undefined, .string, .markup, .dictionary: return true
            case .sequence(let sequence): return sequence.isIndexable
            default: return false
            }
        case .odd, .even:
            guard let remainder = try compute(.modulo, value, .int(2)).double else {
                throw TemplateError(.type, "not all arguments converted during string formatting")
            }
            return (remainder == 1) == (test == .odd) && (remainder == 0 || remainder == 1)
        case .lower, .upper:
            guard let method = StringMethod(named: test == .lower ? "islower" : "isupper") else { return false }
            return try call(method, of: try text(of: value), .none).isTrue
        case .filter: return value.text.map { JinjaFilter(named: $0) != nil } ?? false
        case .test: return value.text.map { JinjaTest(named: $0) != nil } ?? false
        default: return false
        }
        return false
    }
}
