extension Parser {
    private func make(
        _ node: Expression.Node, over children: [Expression], line: Int
    ) throws(TemplateError) -> Expression {
        var depth = 1
        for child in children { depth = max(depth, child.depth + 1) }
        guard depth <= TemplateLimits.syntaxDepth * 2 else {
            throw TemplateError(.limit, "expression deeper than \(TemplateLimits.syntaxDepth * 2)", line: line)
        }
        return Expression(node, line: line, depth: depth)
    }

    /// `a`, or `a, b` as a tuple without parentheses.
    mutating func tupleOrExpression(allowsConditional: Bool = true) throws(TemplateError) -> Expression {
        let line = current.line
        let first = allowsConditional ? try expression() : try disjunction()
        guard isSymbol(",") else { return first }
        var elements = [first]
        while skipSymbol(",") {
            if isEndOfTuple { break }
            elements.append(allowsConditional ? try expression() : try disjunction())
        }
        return try make(.tuple(elements), over: elements, line: line)
    }

    private var isEndOfTuple: Bool {
        switch current.kind {
        case .variableEnd, .blockEnd, .end: true
        default: isSymbol(")") || isName("recursive")
        }
    }

    /// `a if test else b`, the loosest binding.
    mutating func expression() throws(TemplateError) -> Expression {
        try enter()
        defer { nesting -= 1 }
        let line = current.line
        var result = try disjunction()
        while skipName("if") {
            let test = try disjunction()
            let otherwise: Expression? = skipName("else") ? try expression() : nil
            result = try make(
                .conditional(test: test, then: result, otherwise: otherwise),
                over: [test, result] + (otherwise.map { [$0] } ?? []), line: line)
        }
        return result
    }

    private mutating func disjunction() throws(TemplateError) -> Expression {
        var left = try conjunction()
        while isName("or") {
            let line = next().line
            let right = try conjunction()
            left = try make(.or(left, right), over: [left, right], line: line)
        }
        return left
    }

    private mutating func conjunction() throws(TemplateError) -> Expression {
        var left = try negation()
        while isName("and") {
            let line = next().line
            let right = try negation()
            left = try make(.and(left, right), over: [left, right], line: line)
        }
        return left
    }

    private mutating func negation() throws(TemplateError) -> Expression {
        var lines: [Int] = []
        while isName("not") { lines.append(next().line) }
        var result = try comparison()
        for line in lines.reversed() { result = try make(.not(result), over: [result], line: line) }
        return result
    }

    private mutating func comparison() throws(TemplateError) -> Expression {
        let line = current.line
        let first = try sum()
        var rest: [(relation: ComparisonOperator, operand: Expression)] = []
        while true {
            if current.kind == .symbol, let comparison = ComparisonOperator(rawValue: current.text) {
                _ = next()
                rest.append((comparison, try sum()))
            } else if skipName("in") {
                rest.append((.in, try sum()))
            } else if isName("not"), tokens[position + 1].kind == .name, tokens[position + 1].text == "in" {
                _ = next()
                _ = next()
                rest.append((.notIn, try sum()))
            } else {
                break
            }
        }
        return rest.isEmpty
            ? first : try make(.comparison(first, rest), over: [first] + rest.map(\.operand), line: line)
    }

    private mutating func binary(
        _ symbols: [String], _ operand: (inout Parser) throws(TemplateError) -> Expression
    ) throws(TemplateError) -> Expression {
        var left = try operand(&self)
        while current.kind == .symbol, symbols.contains(current.text),
            let operation = BinaryOperator(rawValue: current.text)
        {
            let line = next().line
            let right = try operand(&self)
            left = try make(.binary(operation, left, right), over: [left, right], line: line)
        }
        return left
    }

    private mutating func sum() throws(TemplateError) -> Expression {
        try binary(["+", "-"]) { parser throws(TemplateError) in try parser.concatenation() }
    }

    private mutating func concatenation() throws(TemplateError) -> Expression {
        let line = current.line
        var operands = [try product()]
        while skipSymbol("~") { operands.append(try product()) }
        return operands.count == 1 ? operands[0] : try make(.concatenation(operands), over: operands, line: line)
    }

    private mutating func product() throws(TemplateError) -> Expression {
        try binary(["*", "/", "//", "%"]) { parser throws(TemplateError) in try parser.power() }
    }

    /// Left-associative and weaker than a sign, unlike in Python: `-2 ** 2` is 4.
    private mutating func power() throws(TemplateError) -> Expression {
        try binary(["**"]) { parser throws(TemplateError) in try parser.unary(withFilters: true) }
    }

    private mutating func unary(withFilters: Bool) throws(TemplateError) -> Expression {
        try enter()
        defer { nesting -= 1 }
        let line = current.line
        var result: Expression
        if skipSymbol("-") {
            let operand = try unary(withFilters: false)
            result = try make(.negative(operand), over: [operand], line: line)
        } else if skipSymbol("+") {
            let operand = try unary(withFilters: false)
            result = try make(.positive(operand), over: [operand], line: line)
        } else {
            result = try primary()
        }
        result = try postfix(result)
        return withFilters ? try filtersAndTests(result) : result
    }

    // MARK: Primaries

    private mutating func primary() throws(TemplateError) -> Expression {
        let token = next()
        let line = token.line
        func literal(_ value: JSONValue) throws(TemplateError) -> Expression {
            try make(.literal(value), over: [], line: line)
        }
        switch token.kind {
        case .name:
            switch token.text {
            case "true", "True": return try literal(.bool(true))
            case "false", "False": return try literal(.bool(false))
            case "none", "None": return try literal(.null)
            default: return try make(.name(slot(token.text)), over: [], line: line)
            }
        case .string:
            var text = token.text
            while current.kind == .string { text += next().text }
            return try literal(.string(text))
        case .integer: return try literal(try integer(token))
        case .float:
            guard let value = Double(token.text) else { throw error("invalid number '\(token.text)'") }
            return try literal(.double(value))
        case .symbol where token.text == "(":
            if skipSymbol(")") { return try make(.tuple([]), over: [], line: line) }
            let inner = try tupleOrExpression()
            try expectSymbol(")")
            return inner
        case .symbol where token.text == "[":
            let elements = try elements(until: "]")
            return try make(.list(elements), over: elements, line: line)
        case .symbol where token.text == "{":
            return try dictionary(line: line)
        default:
            throw TemplateError(.syntax, "unexpected '\(described(token))'", line: line)
        }
    }

    private func integer(_ token: Token) throws(TemplateError) -> JSONValue {
        let text = token.text.lowercased()
        for (prefix, base) in [("0x", 16), ("0o", 8), ("0b", 2)] where text.hasPrefix(prefix) {
            guard let value = Int(text.dropFirst(2), radix: base) else {
                throw TemplateError(.overflow, "integer '\(token.text)' does not fit 64 bits", line: token.line)
            }
            return .int(value)
        }
        if let value = Int(text) {
            guard value == 0 || !text.hasPrefix("0") else { throw error("leading zeros in '\(token.text)'") }
            return .int(value)
        }
        return .bigInt(String(text.drop { $0 == "0" }))
    }

    private mutating func elements(until close: String) throws(TemplateError) -> [Expression] {
        var elements: [Expression] = []
        while !skipSymbol(close) {
            if !elements.isEmpty {
                try expectSymbol(",")
                if skipSymbol(close) { break }
            }
            elements.append(try expression())
        }
        return elements
    }

    private mutating func dictionary(line: Int) throws(TemplateError) -> Expression {
        var items: [(key: Expression, value: Expression)] = []
        while !skipSymbol("}") {
            if !items.isEmpty {
                try expectSymbol(",")
                if skipSymbol("}") { break }
            }
            let key = try expression()
            try expectSymbol(":")
            items.append((key, try expression()))
        }
        return try make(.dictionary(items), over: items.flatMap { [$0.key, $0.value] }, line: line)
    }

    // MARK: What follows a primary

    private mutating func postfix(_ start: Expression) throws(TemplateError) -> Expression {
        var result = start
        while true {
            let line = current.line
            if skipSymbol(".") {
                let token = next()
                switch token.kind {
                case .name: result = try make(.attribute(result, token.text), over: [result], line: line)
                case .integer:
                    let index = try make(.literal(try integer(token)), over: [], line: line)
                    result = try make(.item(result, index), over: [result, index], line: line)
                default: throw error("expected name or number")
                }
            } else if skipSymbol("[") {
                result = try subscripted(result, line: line)
            } else if isSymbol("(") {
                result = try call(result)
            } else {
                return result
            }
        }
    }

    private mutating func call(_ callee: Expression) throws(TemplateError) -> Expression {
        let line = current.line
        let arguments = try callArguments()
        return try make(.call(callee, arguments), over: [callee] + arguments.all, line: line)
    }

    private mutating func subscripted(_ base: Expression, line: Int) throws(TemplateError) -> Expression {
        var start: Expression?
        if !isSymbol(":") {
            let index = try tupleOrExpression()
            if skipSymbol("]") { return try make(.item(base, index), over: [base, index], line: line) }
            start = index
        }
        try expectSymbol(":")
        var parts: [Expression?] = [nil, nil]
        for place in parts.indices {
            if !isSymbol("]"), !isSymbol(":") { parts[place] = try expression() }
            if place == 0, !skipSymbol(":") { break }
        }
        try expectSymbol("]")
        return try make(
            .slice(base, start: start, stop: parts[0], step: parts[1]),
            over: [base] + [start, parts[0], parts[1]].compactMap { $0 }, line: line)
    }

    private mutating func callArguments() throws(TemplateError) -> CallArguments {
        var arguments = CallArguments()
        var isFirst = true
        try expectSymbol("(")
        while !skipSymbol(")") {
            if !isFirst {
                try expectSymbol(",")
                if skipSymbol(")") { break }
            }
            isFirst = false
            if skipSymbol("**") {
                guard arguments.unpackedMapping == nil else {
                    throw error("invalid syntax for function call expression")
                }
                arguments.unpackedMapping = try expression()
            } else if skipSymbol("*") {
                guard arguments.unpackedSequence == nil else {
                    throw error("invalid syntax for function call expression")
                }
                arguments.unpackedSequence = try expression()
            } else if current.kind == .name, tokens[position + 1].kind == .symbol, tokens[position + 1].text == "=" {
                let name = next().text
                _ = next()
                arguments.keyword.append((name, try expression()))
            } else {
                guard arguments.keyword.isEmpty, arguments.unpackedMapping == nil else {
                    throw error("invalid syntax for function call expression")
                }
                arguments.positional.append(try expression())
            }
        }
        return arguments
    }

    private mutating func filtersAndTests(_ start: Expression) throws(TemplateError) -> Expression {
        var result = start
        while true {
            if isSymbol("|") {
                result = try filter(result)
            } else if isName("is") {
                result = try test(result)
            } else if isSymbol("(") {
                result = try call(result)
            } else {
                return result
            }
        }
    }

    private mutating func dottedName() throws(TemplateError) -> String {
        var name = try expect(.name, "name").text
        while skipSymbol(".") { name += "." + (try expect(.name, "name").text) }
        return name
    }

    /// At the `|`.
    private mutating func filter(_ operand: Expression?) throws(TemplateError) -> Expression {
        let line = next().line
        return try namedFilter(operand, line: line)
    }

    private mutating func namedFilter(_ operand: Expression?, line: Int) throws(TemplateError) -> Expression {
        let name = try dottedName()
        if branchNesting == 0, JinjaFilter(named: name) == nil { throw error("No filter named '\(name)'.") }
        let arguments = isSymbol("(") ? try callArguments() : .none
        return try make(
            .filter(name, operand, arguments), over: (operand.map { [$0] } ?? []) + arguments.all, line: line)
    }

    /// The filters of a block tag, `upper` in `{% filter upper|trim %}` or `| upper` in `{% set x | upper %}`, each
    /// without operand.
    mutating func filterChain() throws(TemplateError) -> [Expression] {
        var filters: [Expression] = []
        if !isSymbol("|") { filters.append(try namedFilter(nil, line: current.line)) }
        while isSymbol("|") { filters.append(try filter(nil)) }
        return filters
    }

    /// At the `is`.
    private mutating func test(_ operand: Expression) throws(TemplateError) -> Expression {
        let line = next().line
        let isNegated = skipName("not")
        let name = try dottedName()
        if branchNesting == 0, JinjaTest(named: name) == nil { throw error("No test named '\(name)'.") }
        var arguments = CallArguments()
        if isSymbol("(") {
            arguments = try callArguments()
        } else if startsTestArgument {
            if isName("is") { throw error("You cannot chain multiple tests with is") }
            arguments.positional = [try postfix(try primary())]
        }
        let test = try make(.test(name, operand, arguments), over: [operand] + arguments.all, line: line)
        return isNegated ? try make(.not(test), over: [test], line: line) : test
    }

    /// A test may take one argument without parentheses: `x is divisibleby 3`.
    private var startsTestArgument: Bool {
        switch current.kind {
        case .name: !["else", "or", "and", "if", "in", "not", "recursive"].contains(current.text)
        case .string, .integer, .float: true
        default: isSymbol("[") || isSymbol("{")
        }
    }
}
