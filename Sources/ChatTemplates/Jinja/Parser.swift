/// Builds the syntax tree of a template: the statements. Expressions are in `Parser+Expressions.swift`.
struct Parser {
    var tokens: [Token]
    var position = 0
    /// Brackets and blocks open at this point.
    var nesting = 0
    /// Inside a branch that may never run, unknown filters and tests are errors only when they are reached.
    var branchNesting = 0
    private var loopNesting = 0
    private(set) var names: [String] = []
    private var slots: [CodePoints: Int] = [:]

    static func parse(_ source: String) throws(TemplateError) -> ParsedTemplate {
        guard source.utf8.count <= TemplateLimits.sourceBytes else {
            throw TemplateError(.limit, "template longer than \(TemplateLimits.sourceBytes) bytes")
        }
        var parser = Parser(tokens: try Lexer.tokens(of: source))
        let loopSlot = parser.slot("loop")
        let body = try parser.statements(until: [])
        return ParsedTemplate(body: body, names: parser.names, loopSlot: loopSlot)
    }

    private init(tokens: [Token]) { self.tokens = tokens }

    mutating func slot(_ name: String) -> Int {
        if let slot = slots[CodePoints(name)] { return slot }
        names.append(name)
        slots[CodePoints(name)] = names.count - 1
        return names.count - 1
    }

    // MARK: Tokens

    var current: Token { tokens[position] }

    mutating func next() -> Token {
        let token = tokens[position]
        if position + 1 < tokens.count { position += 1 }
        return token
    }

    func error(_ message: String) -> TemplateError { TemplateError(.syntax, message, line: current.line) }

    func isSymbol(_ symbol: String) -> Bool { current.kind == .symbol && current.text == symbol }
    func isName(_ name: String) -> Bool { current.kind == .name && current.text == name }

    mutating func skipSymbol(_ symbol: String) -> Bool {
        guard isSymbol(symbol) else { return false }
        _ = next()
        return true
    }

    mutating func skipName(_ name: String) -> Bool {
        guard isName(name) else { return false }
        _ = next()
        return true
    }

    func described(_ token: Token) -> String {
        switch token.kind {
        case .data: "template data / text"
        case .blockStart: "begin of statement block"
        case .blockEnd: "end of statement block"
        case .variableStart: "begin of print statement"
        case .variableEnd: "end of print statement"
        case .end: "end of template"
        default: token.text
        }
    }

    mutating func expect(_ kind: Token.Kind, _ expected: String) throws(TemplateError) -> Token {
        guard current.kind == kind else {
            if current.kind == .end { throw error("unexpected end of template, expected '\(expected)'.") }
            throw error("expected token '\(expected)', got '\(described(current))'")
        }
        return next()
    }

    mutating func expectSymbol(_ symbol: String) throws(TemplateError) {
        guard skipSymbol(symbol) else { throw error("expected token '\(symbol)', got '\(described(current))'") }
    }

    mutating func enter() throws(TemplateError) {
        nesting += 1
        guard nesting <= TemplateLimits.syntaxDepth else {
            throw TemplateError(
                .limit, "brackets or blocks nested deeper than \(TemplateLimits.syntaxDepth)", line: current.line)
        }
    }

    // MARK: Statements

    /// Statements up to a tag named in `ends`, which is left with its name as the current token; up to the end of the
    /// template if `ends` is empty.
    private mutating func statements(until ends: [String]) throws(TemplateError) -> [Statement] {
        try enter()
        defer { nesting -= 1 }
        var body: [Statement] = []
        while true {
            let line = current.line
            switch current.kind {
            case .data: body.append(Statement(node: .text(Array(next().text.utf8)), line: line))
            case .variableStart:
                _ = next()
                guard current.kind != .variableEnd else {
                    throw error("Expected an expression, got 'end of print statement'")
                }
                let value = try tupleOrExpression()
                _ = try expect(.variableEnd, "end of print statement")
                body.append(Statement(node: .print(value), line: line))
            case .blockStart:
                _ = next()
                guard current.kind == .name else { throw error("tag name expected") }
                if ends.contains(current.text) { return body }
                let node = try statement()
                _ = try expect(.blockEnd, "end of statement block")
                body.append(Statement(node: node, line: line))
            default:
                guard ends.isEmpty else {
                    throw error("unexpected end of template, expected '\(ends.joined(separator: "' or '"))'.")
                }
                return body
            }
        }
    }

    /// The body of a block up to its end tag, after which the end of the tag is the current token.
    private mutating func body(until end: String) throws(TemplateError) -> [Statement] {
        _ = try expect(.blockEnd, "end of statement block")
        let body = try statements(until: [end])
        _ = next()
        return body
    }

    private mutating func statement() throws(TemplateError) -> Statement.Node {
        let tag = next().text
        switch tag {
        case "if": return try ifStatement()
        case "for": return try forStatement()
        case "set": return try setStatement()
        case "macro": return try macroStatement()
        case "call": return try callStatement()
        case "filter":
            let filters = try filterChain()
            return .filterBlock(filters: filters, body: try body(until: "endfilter"))
        case "with": return try withStatement()
        case "generation": return .scope(try body(until: "endgeneration"))
        case "block":
            _ = try expect(.name, "name")
            for modifier in ["scoped", "required"] { _ = skipName(modifier) }
            let block = try body(until: "endblock")
            if current.kind == .name { _ = next() }
            return .scope(block)
        case "autoescape":
            guard skipName("false") || skipName("False") else {
                throw TemplateError(.unsupported, "autoescape is not available in chat templates", line: current.line)
            }
            return .scope(try body(until: "endautoescape"))
        case "print": return .print(try tupleOrExpression())
        case "break", "continue":
            guard loopNesting > 0 else { throw error("'\(tag)' outside of a loop") }
            return tag == "break" ? .breakLoop : .continueLoop
        case "include", "import", "from", "extends":
            throw TemplateError(
                .unsupported, "'\(tag)' needs other templates, which chat templates do not have", line: current.line)
        default: throw error("Encountered unknown tag '\(tag)'.")
        }
    }

    private mutating func ifStatement() throws(TemplateError) -> Statement.Node {
        branchNesting += 1
        defer { branchNesting -= 1 }
        var branches: [(test: Expression, body: [Statement])] = []
        while true {
            guard current.kind != .blockEnd else {
                throw error("Expected an expression, got 'end of statement block'")
            }
            let test = try tupleOrExpression(allowsConditional: false)
            _ = try expect(.blockEnd, "end of statement block")
            branches.append((test, try statements(until: ["elif", "else", "endif"])))
            let tag = next().text
            if tag == "elif" { continue }
            let otherwise = tag == "else" ? try body(until: "endif") : []
            return .branches(branches, otherwise: otherwise)
        }
    }

    private mutating func forStatement() throws(TemplateError) -> Statement.Node {
        let target = try assignmentTarget(allowsAttribute: false)
        guard skipName("in") else { throw error("expected token 'in', got '\(described(current))'") }
        let iterable = try tupleOrExpression(allowsConditional: false)
        let filter: Expression? = skipName("if") ? try expression() : nil
        let isRecursive = skipName("recursive")
        _ = try expect(.blockEnd, "end of statement block")
        loopNesting += 1
        let body = try statements(until: ["endfor", "else"])
        loopNesting -= 1
        let otherwise = next().text == "else" ? try self.body(until: "endfor") : []
        return .loop(
            LoopStatement(
                target: target, iterable: iterable, filter: filter, isRecursive: isRecursive, body: body,
                otherwise: otherwise))
    }

    private mutating func setStatement() throws(TemplateError) -> Statement.Node {
        let target = try assignmentTarget(allowsAttribute: true)
        if skipSymbol("=") { return .set(target, try tupleOrExpression()) }
        let filters = isSymbol("|") ? try filterChain() : []
        return .setBlock(target, filters: filters, body: try body(until: "endset"))
    }

    private mutating func withStatement() throws(TemplateError) -> Statement.Node {
        var assignments: [(target: AssignmentTarget, value: Expression)] = []
        while current.kind != .blockEnd {
            if !assignments.isEmpty { try expectSymbol(",") }
            let target = try assignmentTarget(allowsAttribute: false, allowsTuple: false)
            try expectSymbol("=")
            assignments.append((target, try expression()))
        }
        return .with(assignments, body: try body(until: "endwith"))
    }

    /// One name, `name.attribute`, or several separated by commas.
    private mutating func assignmentTarget(
        allowsAttribute: Bool, allowsTuple: Bool = true
    ) throws(TemplateError) -> AssignmentTarget {
        try enter()
        defer { nesting -= 1 }
        var targets: [AssignmentTarget] = []
        var isTuple = false
        repeat {
            if isTuple, current.kind == .blockEnd || isSymbol("=") || isSymbol(")") || isName("in") { break }
            if skipSymbol("(") {
                targets.append(try assignmentTarget(allowsAttribute: allowsAttribute))
                try expectSymbol(")")
            } else {
                let name = try expect(.name, "name").text
                guard !["true", "false", "none", "True", "False", "None"].contains(name) else {
                    throw error("can't assign to '\(name)'")
                }
                if allowsAttribute, skipSymbol(".") {
                    targets.append(.attribute(slot(name), try expect(.name, "name").text))
                } else {
                    targets.append(.name(slot(name)))
                }
            }
            guard allowsTuple, skipSymbol(",") else { break }
            isTuple = true
        } while true
        return isTuple ? .tuple(targets) : targets[0]
    }

    // MARK: Macros

    private mutating func macroStatement() throws(TemplateError) -> Statement.Node {
        let name = try expect(.name, "name").text
        let parameters = try macroParameters()
        return .macro(try macro(name: name, slot: slot(name), parameters: parameters, end: "endmacro"))
    }

    private mutating func callStatement() throws(TemplateError) -> Statement.Node {
        let parameters = isSymbol("(") ? try macroParameters() : []
        let call = try expression()
        guard case .call = call.node else { throw error("expected call") }
        return .callBlock(
            call, caller: try macro(name: "caller", slot: nil, parameters: parameters, end: "endcall"))
    }

    private mutating func macro(
        name: String, slot: Int?, parameters: [(name: String, slot: Int, defaultValue: Expression?)], end: String
    ) throws(TemplateError) -> MacroDefinition {
        let outerLoops = loopNesting
        loopNesting = 0
        let start = position
        let body = try body(until: end)
        loopNesting = outerLoops
        var mentioned: Set<String> = []
        for token in tokens[start..<position] where token.kind == .name {
            if token.text == "caller" || token.text == "varargs" || token.text == "kwargs" {
                mentioned.insert(token.text)
            }
        }
        return MacroDefinition(
            name: name, slot: slot, parameters: parameters, body: body, callerSlot: self.slot("caller"),
            varargsSlot: self.slot("varargs"), kwargsSlot: self.slot("kwargs"),
            usesCaller: mentioned.contains("caller"),
            usesVarargs: mentioned.contains("varargs"), usesKwargs: mentioned.contains("kwargs"))
    }

    private mutating func macroParameters() throws(TemplateError) -> [(
        name: String, slot: Int, defaultValue: Expression?
    )] {
        var parameters: [(name: String, slot: Int, defaultValue: Expression?)] = []
        try expectSymbol("(")
        while !skipSymbol(")") {
            if !parameters.isEmpty {
                try expectSymbol(",")
                if skipSymbol(")") { break }
            }
            let name = try expect(.name, "name").text
            let defaultValue: Expression? = skipSymbol("=") ? try expression() : nil
            guard defaultValue != nil || parameters.last?.defaultValue == nil else {
                throw error("non-default argument follows default argument")
            }
            parameters.append((name, slot(name), defaultValue))
        }
        return parameters
    }
}
