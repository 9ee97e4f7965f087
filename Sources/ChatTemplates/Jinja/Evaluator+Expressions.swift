extension Evaluator {
    /// The value of an expression. The work is in functions of their own to keep the frame of this one, which is on the
    /// stack once per level, small.
    func evaluate(_ expression: Expression, in scope: Scope) throws(TemplateError) -> JinjaValue {
        try descend()
        defer { ascend() }
        try step()
        // No payloads are bound here: each would take its own room in this frame.
        switch expression.node {
        case .literal, .name: return leaf(expression, in: scope)
        case .list, .tuple, .dictionary: return try display(expression, in: scope)
        case .negative, .positive, .not: return try unary(expression, in: scope)
        case .and, .or: return try shortCircuit(expression, in: scope)
        case .binary: return try binary(expression, in: scope)
        case .comparison: return try comparison(expression, in: scope)
        case .concatenation: return try concatenation(expression, in: scope)
        case .conditional: return try conditional(expression, in: scope)
        case .attribute, .item: return try member(expression, in: scope)
        case .slice: return try slice(expression, in: scope)
        case .call: return try call(expression, in: scope)
        case .filter: return try filter(expression, in: scope)
        case .test: return try test(expression, in: scope)
        }
    }

    @inline(never)
    private func leaf(_ expression: Expression, in scope: Scope) -> JinjaValue {
        switch expression.node {
        case .literal(let value): JinjaValue(value)
        case .name(let slot): lookUp(slot, in: scope)
        default: .none
        }
    }

    @inline(never)
    private func display(_ expression: Expression, in scope: Scope) throws(TemplateError) -> JinjaValue {
        switch expression.node {
        case .list(let elements): return .list(try evaluate(elements, in: scope))
        case .tuple(let elements): return .tuple(try evaluate(elements, in: scope))
        case .dictionary(let items): return try dictionary(items, in: scope)
        default: return .none
        }
    }

    @inline(never)
    private func unary(_ expression: Expression, in scope: Scope) throws(TemplateError) -> JinjaValue {
        switch expression.node {
        case .negative(let operand): return try negated(try evaluate(operand, in: scope))
        case .positive(let operand): return try positive(try evaluate(operand, in: scope))
        case .not(let operand): return .bool(!(try evaluate(operand, in: scope).isTrue))
        default: return .none
        }
    }

    /// `and` stops at what is false, `or` at what is true; both give the value that decided.
    @inline(never)
    private func shortCircuit(_ expression: Expression, in scope: Scope) throws(TemplateError) -> JinjaValue {
        switch expression.node {
        case .and(let left, let right):
            let value = try evaluate(left, in: scope)
            return value.isTrue ? try evaluate(right, in: scope) : value
        case .or(let left, let right):
            let value = try evaluate(left, in: scope)
            return value.isTrue ? value : try evaluate(right, in: scope)
        default: return .none
        }
    }

    @inline(never)
    private func binary(_ expression: Expression, in scope: Scope) throws(TemplateError) -> JinjaValue {
        guard case .binary(let operation, let left, let right) = expression.node else { return .none }
        let value = try evaluate(left, in: scope)
        return try compute(operation, value, try evaluate(right, in: scope))
    }

    @inline(never)
    private func conditional(_ expression: Expression, in scope: Scope) throws(TemplateError) -> JinjaValue {
        guard case .conditional(let test, let then, let otherwise) = expression.node else { return .none }
        if try evaluate(test, in: scope).isTrue { return try evaluate(then, in: scope) }
        guard let otherwise else {
            return .undefined(.other("the inline if-expression evaluated to false and no else section was defined."))
        }
        return try evaluate(otherwise, in: scope)
    }

    @inline(never)
    private func member(_ expression: Expression, in scope: Scope) throws(TemplateError) -> JinjaValue {
        switch expression.node {
        case .attribute(let base, let name): return try attribute(name, of: try evaluate(base, in: scope))
        case .item(let base, let index):
            let value = try evaluate(base, in: scope)
            return try item(try evaluate(index, in: scope), of: value)
        default: return .none
        }
    }

    @inline(never)
    private func filter(_ expression: Expression, in scope: Scope) throws(TemplateError) -> JinjaValue {
        guard case .filter(let name, let operand?, let arguments) = expression.node else { return .none }
        let value = try evaluate(operand, in: scope)
        return try apply(filter: name, to: value, try evaluate(arguments, in: scope))
    }

    @inline(never)
    private func test(_ expression: Expression, in scope: Scope) throws(TemplateError) -> JinjaValue {
        guard case .test(let name, let operand, let arguments) = expression.node else { return .none }
        let value = try evaluate(operand, in: scope)
        return .bool(try check(test: name, of: value, try evaluate(arguments, in: scope)))
    }

    @inline(never)
    private func evaluate(_ expressions: [Expression], in scope: Scope) throws(TemplateError) -> [JinjaValue] {
        try charge(elements: expressions.count)
        var values: [JinjaValue] = []
        for expression in expressions { values.append(try evaluate(expression, in: scope)) }
        return values
    }

    @inline(never)
    func evaluate(_ arguments: CallArguments, in scope: Scope) throws(TemplateError) -> Arguments {
        var values = Arguments()
        for expression in arguments.positional { values.positional.append(try evaluate(expression, in: scope)) }
        for (name, expression) in arguments.keyword {
            values.keyword.append((name, try evaluate(expression, in: scope)))
        }
        if let sequence = arguments.unpackedSequence {
            values.positional += try elements(of: try evaluate(sequence, in: scope))
        }
        if let mapping = arguments.unpackedMapping {
            guard case .dictionary(let dictionary) = try evaluate(mapping, in: scope) else {
                throw TemplateError(.type, "argument after ** must be a mapping")
            }
            try charge(elements: dictionary.count)
            for (key, value) in zip(dictionary.keys, dictionary.values) {
                guard let name = key.text else { throw TemplateError(.type, "keywords must be strings") }
                values.keyword.append((name, value))
            }
        }
        return values
    }

    @inline(never)
    private func dictionary(
        _ items: [(key: Expression, value: Expression)], in scope: Scope
    ) throws(TemplateError) -> JinjaValue {
        let dictionary = JinjaDictionary()
        try charge(elements: items.count)
        for (key, value) in items {
            let key = try evaluate(key, in: scope)
            dictionary.set(key, try hashKey(key), to: try evaluate(value, in: scope))
        }
        return .dictionary(dictionary)
    }

    @inline(never)
    private func comparison(_ expression: Expression, in scope: Scope) throws(TemplateError) -> JinjaValue {
        guard case .comparison(let first, let rest) = expression.node else { return .none }
        var left = try evaluate(first, in: scope)
        for (comparison, operand) in rest {
            let right = try evaluate(operand, in: scope)
            guard try holds(comparison, left, right) else { return .bool(false) }
            left = right
        }
        return .bool(true)
    }

    @inline(never)
    private func concatenation(_ expression: Expression, in scope: Scope) throws(TemplateError) -> JinjaValue {
        guard case .concatenation(let operands) = expression.node else { return .none }
        var result = ""
        for operand in operands {
            result += try text(of: try evaluate(operand, in: scope))
            try charge(result.utf8.count)
        }
        return .string(result)
    }

    @inline(never)
    private func call(_ expression: Expression, in scope: Scope) throws(TemplateError) -> JinjaValue {
        guard case .call(let callee, let arguments) = expression.node else { return .none }
        let function = try evaluate(callee, in: scope)
        return try call(function, try evaluate(arguments, in: scope))
    }

    @inline(never)
    func call(_ function: JinjaValue, _ arguments: Arguments) throws(TemplateError) -> JinjaValue {
        // A call counts more: macros and recursive loops need more stack than a level of an expression.
        try descend(2)
        defer { ascend(2) }
        switch function {
        case .undefined(let missing): throw missing.error
        case .object(let object): return try object.call(arguments, self)
        default: throw TemplateError(.type, "'\(function.typeName)' object is not callable")
        }
    }

    // MARK: Attributes and elements

    /// `base.name`: attributes and methods first, elements of a dictionary second.
    @inline(never)
    func attribute(_ name: String, of base: JinjaValue) throws(TemplateError) -> JinjaValue {
        if case .undefined(let missing) = base { throw missing.error }
        if let value = try builtinAttribute(name, of: base) { return value }
        if case .dictionary(let dictionary) = base, let value = dictionary[name] { return value }
        return .undefined(.attribute(name, ofType: base.describedType))
    }

    /// What Python's `getattr` gives.
    private func builtinAttribute(
        _ name: String, of base: JinjaValue
    ) throws(TemplateError) -> JinjaValue? {
        if name.utf8.starts(with: "__".utf8), name.utf8.suffix(2).elementsEqual("__".utf8) {
            return .undefined(.unsafe(name, ofType: base.typeName))
        }
        switch base {
        case .string(let text): return StringMethod(named: name).map { bind($0, to: text, isMarkup: false) }
        case .markup(let text): return StringMethod(named: name).map { bind($0, to: text, isMarkup: true) }
        case .dictionary(let dictionary): return method(name, of: dictionary)
        case .sequence(let sequence): return method(name, of: sequence)
        case .object(let object): return try object.attribute(name)
        case .int, .bool, .float, .bigInt:
            switch name {
            case "real", "numerator": return base
            case "imag": return .int(0)
            default: return nil
            }
        default: return nil
        }
    }

    /// `base[index]`: elements first, attributes second.
    @inline(never)
    func item(_ index: JinjaValue, of base: JinjaValue) throws(TemplateError) -> JinjaValue {
        if case .undefined(let missing) = base { throw missing.error }
        if let value = try element(index, of: base) { return value }
        if let name = index.text {
            if let value = try builtinAttribute(name, of: base) { return value }
            return .undefined(.attribute(name, ofType: base.describedType))
        }
        if case .undefined(let missing) = index, case .sequence = base { throw missing.error }
        return .undefined(.element(try representation(of: index), ofType: base.describedType))
    }

    private func element(_ index: JinjaValue, of base: JinjaValue) throws(TemplateError) -> JinjaValue? {
        switch base {
        case .sequence(let sequence):
            guard sequence.isIndexable, let index = index.integer else { return nil }
            let place = index < 0 ? index + sequence.elements.count : index
            return sequence.elements.indices.contains(place) ? sequence.elements[place] : nil
        case .dictionary(let dictionary):
            if case .string(let name) = index { return dictionary[name] }
            return HashKey(index).flatMap { dictionary[$0] }
        case .object(let object):
            guard let namespace = object as? JinjaNamespace, let name = index.text else { return nil }
            return namespace.values[name]
        case .string(let text), .markup(let text):
            guard let index = index.integer else { return nil }
            try charge(text.utf8.count / 4)
            let scalars = text.unicodeScalars
            let place =
                index < 0
                ? scalars.index(scalars.endIndex, offsetBy: index, limitedBy: scalars.startIndex)
                : scalars.index(scalars.startIndex, offsetBy: index, limitedBy: scalars.endIndex)
            guard let place, place < scalars.endIndex else { return nil }
            let character = String(scalars[place])
            return base.isMarkup ? .markup(character) : .string(character)
        default: return nil
        }
    }

    @inline(never)
    private func slice(_ expression: Expression, in scope: Scope) throws(TemplateError) -> JinjaValue {
        guard case .slice(let operand, let first, let last, let stride) = expression.node else { return .none }
        let base = try evaluate(operand, in: scope)
        func bound(_ expression: Expression?) throws(TemplateError) -> Int? {
            guard let expression else { return nil }
            let value = try evaluate(expression, in: scope)
            if value.isNone { return nil }
            guard let index = value.integer else {
                if case .undefined(let missing) = value { throw missing.error }
                throw TemplateError(.type, "slice indices must be integers or None")
            }
            return index
        }
        let start = try bound(first)
        let stop = try bound(last)
        let step = try bound(stride) ?? 1
        guard step != 0 else { throw TemplateError(.value, "slice step cannot be zero") }
        switch base {
        case .undefined(let missing): throw missing.error
        case .string(let text), .markup(let text):
            try charge(text.utf8.count)
            let scalars = Array(text.unicodeScalars)
            var result = String.UnicodeScalarView()
            for place in slicePlaces(scalars.count, start, stop, step) { result.append(scalars[place]) }
            return base.isMarkup ? .markup(String(result)) : .string(String(result))
        case .sequence(let sequence) where sequence.isIndexable:
            let places = slicePlaces(sequence.elements.count, start, stop, step)
            try charge(elements: places.count)
            let elements = places.map { sequence.elements[$0] }
            return sequence.isTuple ? .tuple(elements) : .list(elements)
        default:
            throw TemplateError(.type, "'\(base.typeName)' object is not subscriptable")
        }
    }

    /// The places that Python's `sequence[start:stop:step]` takes from a sequence of `count` elements.
    private func slicePlaces(_ count: Int, _ start: Int?, _ stop: Int?, _ step: Int) -> [Int] {
        let lowest = step > 0 ? 0 : -1
        let highest = step > 0 ? count : count - 1
        func clamped(_ index: Int?, _ missing: Int) -> Int {
            guard let index else { return missing }
            let place = index < 0 ? index + count : index
            return min(max(place, lowest), highest)
        }
        let first = clamped(start, step > 0 ? 0 : count - 1)
        let last = clamped(stop, step > 0 ? count : -1)
        var places: [Int] = []
        var place = first
        while step > 0 ? place < last : place > last {
            places.append(place)
            let (next, overflow) = place.addingReportingOverflow(step)
            if overflow { break }
            place = next
        }
        return places
    }

    // MARK: Iteration and keys

    /// What Python's `iter(value)` goes through. Reading a generator empties it.
    func elements(of value: JinjaValue) throws(TemplateError) -> [JinjaValue] {
        switch value {
        case .undefined: return []
        case .string(let text), .markup(let text):
            try charge(elements: text.utf8.count)
            return text.unicodeScalars.map { .string(String($0)) }
        case .dictionary(let dictionary): return dictionary.keys
        case .sequence(let sequence):
            defer { if sequence.isGenerator { sequence.elements = [] } }
            return sequence.elements
        case .object(let loop as LoopVariable): return try loop.rest()
        default: throw TemplateError(.type, "'\(value.typeName)' object is not iterable")
        }
    }

    func hashKey(_ value: JinjaValue) throws(TemplateError) -> HashKey {
        if case .undefined(let missing) = value { throw missing.error }
        guard let key = HashKey(value) else {
            throw TemplateError(.type, "unhashable type: '\(value.typeName)'")
        }
        return key
    }
}
