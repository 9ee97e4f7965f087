extension Evaluator {
    private func unsupported(_ symbol: String, _ left: JinjaValue, _ right: JinjaValue) -> TemplateError {
        TemplateError(
            .type, "unsupported operand type(s) for \(symbol): '\(left.typeName)' and '\(right.typeName)'")
    }

    private static let overflow = TemplateError(.overflow, "integer result does not fit 64 bits")

    // MARK: Arithmetic

    func negated(_ value: JinjaValue) throws(TemplateError) -> JinjaValue {
        switch value {
        case .undefined(let missing): throw missing.error
        case .float(let number): return .float(-number)
        case .bigInt(let digits): return .bigInt(digits.hasPrefix("-") ? String(digits.dropFirst()) : "-" + digits)
        default:
            guard let number = value.integer else {
                throw TemplateError(.type, "bad operand type for unary -: '\(value.typeName)'")
            }
            guard number != .min else { throw Self.overflow }
            return .int(-number)
        }
    }

    func positive(_ value: JinjaValue) throws(TemplateError) -> JinjaValue {
        switch value {
        case .undefined(let missing): throw missing.error
        case .float, .bigInt: return value
        default:
            guard let number = value.integer else {
                throw TemplateError(.type, "bad operand type for unary +: '\(value.typeName)'")
            }
            return .int(number)
        }
    }

    @inline(never)
    func compute(
        _ operation: BinaryOperator, _ left: JinjaValue, _ right: JinjaValue
    ) throws(TemplateError) -> JinjaValue {
        if case .undefined(let missing) = left { throw missing.error }
        if operation == .modulo, let format = left.text {
            let text = try percentFormatted(format, right)
            return left.isMarkup ? .markup(text) : .string(text)
        }
        if case .undefined(let missing) = right { throw missing.error }
        if operation == .add, let sum = try concatenation(left, right) { return sum }
        if operation == .multiply, let product = try repetition(left, right) { return product }
        if let a = left.integer, let b = right.integer { return try integerResult(operation, a, b) }
        if case .bigInt = left, right.double != nil, !isFloat(right) { throw Self.overflow }
        if case .bigInt = right, left.double != nil, !isFloat(left) { throw Self.overflow }
        guard let a = left.double, let b = right.double else {
            let symbol = operation == .power ? "** or pow()" : operation.rawValue
            throw unsupported(symbol, left, right)
        }
        return .float(try floatResult(operation, a, b))
    }

    private func isFloat(_ value: JinjaValue) -> Bool { if case .float = value { true } else { false } }

    private func integerResult(_ operation: BinaryOperator, _ a: Int, _ b: Int) throws(TemplateError) -> JinjaValue {
        let result: (partialValue: Int, overflow: Bool)
        switch operation {
        case .add: result = a.addingReportingOverflow(b)
        case .subtract: result = a.subtractingReportingOverflow(b)
        case .multiply: result = a.multipliedReportingOverflow(by: b)
        case .divide:
            guard b != 0 else { throw TemplateError(.zeroDivision, "division by zero") }
            return .float(Double(a) / Double(b))
        case .floorDivide, .modulo:
            guard b != 0 else { throw TemplateError(.zeroDivision, "integer division or modulo by zero") }
            if b == -1 {
                result = operation == .modulo ? (0, false) : (0 as Int).subtractingReportingOverflow(a)
            } else {
                // Python rounds towards negative infinity and the remainder takes the divisor's sign.
                let (quotient, remainder) = a.quotientAndRemainder(dividingBy: b)
                let isBelow = remainder != 0 && (remainder < 0) != (b < 0)
                return .int(
                    operation == .modulo ? (isBelow ? remainder + b : remainder) : (isBelow ? quotient - 1 : quotient))
            }
        case .power:
            guard b >= 0 else {
                guard a != 0 else {
                    throw TemplateError(.zeroDivision, "0.0 cannot be raised to a negative power")
                }
                return .float(floatPower(Double(a), Double(b)))
            }
            result = integerPower(a, b)
        }
        guard !result.overflow else { throw Self.overflow }
        return .int(result.partialValue)
    }

    private func integerPower(_ base: Int, _ exponent: Int) -> (partialValue: Int, overflow: Bool) {
        if base == 0 || base == 1 { return (exponent == 0 ? 1 : base, false) }
        if base == -1 { return (exponent % 2 == 0 ? 1 : -1, false) }
        guard exponent < 64 else { return (0, true) }
        var result = 1
        for _ in 0..<exponent {
            let (product, overflow) = result.multipliedReportingOverflow(by: base)
            if overflow { return (0, true) }
            result = product
        }
        return (result, false)
    }

    private func floatResult(_ operation: BinaryOperator, _ a: Double, _ b: Double) throws(TemplateError) -> Double {
        switch operation {
        case .add: return a + b
        case .subtract: return a - b
        case .multiply: return a * b
        case .divide:
            guard b != 0 else { throw TemplateError(.zeroDivision, "float division by zero") }
            return a / b
        case .floorDivide:
            guard b != 0 else { throw TemplateError(.zeroDivision, "float floor division by zero") }
            return ((a - floatRemainder(a, b)) / b).rounded()
        case .modulo:
            guard b != 0 else { throw TemplateError(.zeroDivision, "float modulo") }
            return floatRemainder(a, b)
        case .power:
            guard a != 0 || b >= 0 else {
                throw TemplateError(.zeroDivision, "0.0 cannot be raised to a negative power")
            }
            guard a >= 0 || b == b.rounded() else {
                throw TemplateError(.value, "a negative number to a fractional power is complex")
            }
            return floatPower(a, b)
        }
    }

    private func floatRemainder(_ a: Double, _ b: Double) -> Double {
        let remainder = a.truncatingRemainder(dividingBy: b)
        return remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder
    }

    // MARK: Sequences

    private func concatenation(_ left: JinjaValue, _ right: JinjaValue) throws(TemplateError) -> JinjaValue? {
        if let a = left.text {
            guard let b = right.text else {
                throw TemplateError(.type, "can only concatenate str (not \"\(right.typeName)\") to str")
            }
            try charge(a.utf8.count + b.utf8.count)
            guard left.isMarkup || right.isMarkup else { return .string(a + b) }
            let head = left.isMarkup ? a : try escaped(a)
            let tail = right.isMarkup ? b : try escaped(b)
            return .markup(head + tail)
        }
        guard case .sequence(let a) = left, a.isList || a.isTuple else { return nil }
        guard case .sequence(let b) = right, a.isList == b.isList, b.isList || b.isTuple else {
            let name = a.isList ? "list" : "tuple"
            throw TemplateError(.type, "can only concatenate \(name) (not \"\(right.typeName)\") to \(name)")
        }
        try charge(elements: a.elements.count + b.elements.count)
        return .sequence(JinjaSequence(a.isList ? .list : .tuple, a.elements + b.elements))
    }

    private func repetition(_ left: JinjaValue, _ right: JinjaValue) throws(TemplateError) -> JinjaValue? {
        func isSequence(_ value: JinjaValue) -> Bool {
            if case .sequence(let sequence) = value { return sequence.isList || sequence.isTuple }
            return value.text != nil
        }
        guard isSequence(left) || isSequence(right) else { return nil }
        let (sequence, factor) = isSequence(left) ? (left, right) : (right, left)
        guard let factor = factor.integer else {
            throw TemplateError(.type, "can't multiply sequence by non-int of type '\(factor.typeName)'")
        }
        let count = max(0, factor)
        if let text = sequence.text {
            let (bytes, overflow) = text.utf8.count.multipliedReportingOverflow(by: count)
            try charge(overflow ? .max : bytes)
            let result = bytes == 0 ? "" : String(repeating: text, count: count)
            return sequence.isMarkup ? .markup(result) : .string(result)
        }
        guard case .sequence(let list) = sequence else { return nil }
        let (total, overflow) = list.elements.count.multipliedReportingOverflow(by: count)
        guard !overflow, total <= limits.steps else {
            throw TemplateError(.limit, "a list is longer than \(limits.steps) elements")
        }
        try charge(elements: total)
        var elements: [JinjaValue] = []
        elements.reserveCapacity(total)
        if total > 0 { for _ in 0..<count { elements += list.elements } }
        return .sequence(JinjaSequence(list.isList ? .list : .tuple, elements))
    }

    // MARK: Comparison

    func holds(
        _ comparison: ComparisonOperator, _ left: JinjaValue, _ right: JinjaValue
    ) throws(TemplateError) -> Bool {
        switch comparison {
        case .equal: try areEqual(left, right)
        case .notEqual: !(try areEqual(left, right))
        case .in: try contains(right, left)
        case .notIn: !(try contains(right, left))
        case .less: try order(left, right, "<").map { $0 < 0 } ?? false
        case .lessOrEqual: try order(left, right, "<=").map { $0 <= 0 } ?? false
        case .greater: try order(left, right, ">").map { $0 > 0 } ?? false
        case .greaterOrEqual: try order(left, right, ">=").map { $0 >= 0 } ?? false
        }
    }

    /// Python's `left == right`.
    func areEqual(_ left: JinjaValue, _ right: JinjaValue) throws(TemplateError) -> Bool {
        try descend()
        defer { ascend() }
        try step()
        switch (left, right) {
        case (.undefined, .undefined), (.none, .none): return true
        case (.string(let a), .string(let b)), (.string(let a), .markup(let b)), (.markup(let a), .string(let b)),
            (.markup(let a), .markup(let b)):
            guard a.utf8.count == b.utf8.count else { return false }
            try charge(a.utf8.count / 8)
            return a.sameCodePoints(as: b)
        case (.sequence(let a), .sequence(let b)):
            if a === b { return true }
            guard a.isList && b.isList || a.isTuple && b.isTuple || isRange(a) && isRange(b),
                a.elements.count == b.elements.count
            else { return false }
            for (x, y) in zip(a.elements, b.elements) where !(try areEqual(x, y)) { return false }
            return true
        case (.dictionary(let a), .dictionary(let b)):
            if a === b { return true }
            guard a.count == b.count else { return false }
            for (key, value) in zip(a.keys, a.values) {
                try step()
                guard let hash = HashKey(key), let other = b[hash], try areEqual(value, other) else { return false }
            }
            return true
        case (.object(let a), .object(let b)): return a === b
        case (.bigInt(let a), .bigInt(let b)): return a == b
        default:
            if let a = left.integer, let b = right.integer { return a == b }
            if let a = left.double, let b = right.double { return a == b }
            return false
        }
    }

    private func isRange(_ sequence: JinjaSequence) -> Bool { if case .range = sequence.kind { true } else { false } }

    /// Negative, zero or positive as `left` is before, equal to or after `right`; nil if they have no order (NaN).
    func order(_ left: JinjaValue, _ right: JinjaValue, _ symbol: String) throws(TemplateError) -> Int? {
        try descend()
        defer { ascend() }
        try step()
        if case .undefined(let missing) = left { throw missing.error }
        if case .undefined(let missing) = right { throw missing.error }
        if let a = left.integer, let b = right.integer { return a < b ? -1 : a > b ? 1 : 0 }
        if let a = left.double, let b = right.double { return a < b ? -1 : a > b ? 1 : a == b ? 0 : nil }
        if let a = left.text, let b = right.text {
            try charge(min(a.utf8.count, b.utf8.count) / 8)
            return a.sameCodePoints(as: b) ? 0 : a.utf8.lexicographicallyPrecedes(b.utf8) ? -1 : 1
        }
        if case .sequence(let a) = left, case .sequence(let b) = right, a.isList && b.isList || a.isTuple && b.isTuple {
            for (x, y) in zip(a.elements, b.elements) where !(try areEqual(x, y)) { return try order(x, y, symbol) }
            return a.elements.count - b.elements.count
        }
        throw TemplateError(
            .type, "'\(symbol)' not supported between instances of '\(left.typeName)' and '\(right.typeName)'")
    }

    /// Python's `element in container`.
    func contains(_ container: JinjaValue, _ element: JinjaValue) throws(TemplateError) -> Bool {
        switch container {
        case .undefined: return false
        case .string(let text), .markup(let text):
            guard let needle = element.text else {
                if case .undefined(let missing) = element { throw missing.error }
                throw TemplateError(
                    .type, "'in <string>' requires string as left operand, not \(element.typeName)")
            }
            try charge(text.utf8.count + needle.utf8.count)
            return text.containsCodePoints(needle)
        case .dictionary(let dictionary): return dictionary[try hashKey(element)] != nil
        case .sequence:
            for candidate in try elements(of: container) where try areEqual(candidate, element) { return true }
            return false
        default: throw TemplateError(.type, "argument of type '\(container.typeName)' is not iterable")
        }
    }
}
