/// Renders a parsed template: the statements. Expressions are in `Evaluator+Expressions.swift`, the operations on
/// values in files of their own.
///
/// Everything that costs time or memory goes through `step` and `charge`, so that no template can hang or exhaust the
/// process.
final class Evaluator {
    let template: ParsedTemplate
    let limits: TemplateLimits
    let clock: () -> CivilTime

    private(set) var output: [UInt8] = []
    private(set) var steps = 0
    private var allocated = 0
    private var depth = 0
    private var globals: [JinjaValue?]
    /// What may hold itself in a cycle; emptied at the end so that the cycle is released.
    private var namespaces: [JinjaNamespace] = []
    private var macros: [JinjaMacro] = []
    private var mutated: [JinjaSequence] = []
    private var mutatedDictionaries: [JinjaDictionary] = []

    init(
        template: ParsedTemplate, context: JSONObject, limits: TemplateLimits, clock: @escaping () -> CivilTime
    ) {
        self.template = template
        self.limits = limits
        self.clock = clock
        globals = template.names.map { name in
            context[name].map { JinjaValue($0) } ?? JinjaGlobals.value(named: name)
        }
    }

    func render() throws(TemplateError) -> String {
        defer { breakCycles() }
        let scope = Scope()
        _ = try run(template.body, in: scope)
        return String(decoding: output, as: UTF8.self)
    }

    private func breakCycles() {
        for namespace in namespaces { namespace.values.removeAll() }
        for macro in macros { macro.scope = nil }
        for sequence in mutated { sequence.elements = [] }
        for dictionary in mutatedDictionaries { dictionary.removeAll() }
    }

    func register(_ namespace: JinjaNamespace) { namespaces.append(namespace) }
    func registerMutation(of dictionary: JinjaDictionary) { mutatedDictionaries.append(dictionary) }

    /// - Parameter nesting: that of the new elements.
    func registerMutation(of sequence: JinjaSequence, adding nesting: Int) throws(TemplateError) {
        try check(nesting: nesting)
        sequence.nesting = max(sequence.nesting, nesting + 1)
        mutated.append(sequence)
    }

    /// Refuses chains of containers whose release would need too much stack.
    func check(nesting: Int) throws(TemplateError) {
        guard nesting <= limits.evaluationDepth else {
            throw TemplateError(.limit, "values nested deeper than \(limits.evaluationDepth)")
        }
    }

    // MARK: Bounds

    func step(_ count: Int = 1) throws(TemplateError) {
        steps &+= count
        guard steps <= limits.steps else {
            throw TemplateError(.limit, "the template takes more than \(limits.steps) steps")
        }
    }

    /// To be called before making (or reading through) that many bytes.
    func charge(_ bytes: Int) throws(TemplateError) {
        guard bytes <= limits.outputBytes else {
            throw TemplateError(.limit, "a value is larger than \(limits.outputBytes) bytes")
        }
        allocated += bytes
        guard allocated <= limits.allocatedBytes else {
            throw TemplateError(.limit, "the template makes more than \(limits.allocatedBytes) bytes of values")
        }
    }

    /// To be called before making a list of that many elements.
    func charge(elements: Int) throws(TemplateError) {
        try step(elements)
        try charge(elements &* MemoryLayout<JinjaValue>.stride)
    }

    func descend(_ levels: Int = 1) throws(TemplateError) {
        depth += levels
        guard depth <= limits.evaluationDepth else {
            throw TemplateError(.limit, "evaluations nested deeper than \(limits.evaluationDepth)")
        }
    }

    func ascend(_ levels: Int = 1) { depth -= levels }

    // MARK: Output

    private func emit(_ bytes: some Collection<UInt8>) throws(TemplateError) {
        guard output.count + bytes.count <= limits.outputBytes else {
            throw TemplateError(.limit, "the output is longer than \(limits.outputBytes) bytes")
        }
        output.append(contentsOf: bytes)
    }

    /// The text that `body` prints.
    @inline(never)
    private func captured(_ body: [Statement], in scope: Scope) throws(TemplateError) -> String {
        let outer = output
        output = []
        defer { output = outer }
        _ = try run(body, in: scope)
        try charge(output.count)
        return String(decoding: output, as: UTF8.self)
    }

    // MARK: Variables

    func lookUp(_ slot: Int, in scope: Scope) -> JinjaValue {
        var current: Scope? = scope
        while let scope = current {
            if let value = scope[slot] { return value }
            current = scope.parent
        }
        return globals[slot] ?? .undefined(.variable(template.names[slot]))
    }

    private func assign(
        _ value: JinjaValue, to target: AssignmentTarget, in scope: Scope
    ) throws(TemplateError) {
        try check(nesting: value.nesting)
        switch target {
        case .name(let slot): scope[slot] = value
        case .attribute(let slot, let name):
            guard case .object(let object) = lookUp(slot, in: scope), let namespace = object as? JinjaNamespace else {
                throw TemplateError(.type, "cannot assign attribute on non-namespace object")
            }
            try checkNamespaceName(name)
            namespace.values.set(.string(name), .string(CodePoints(name)), to: value)
        case .tuple(let targets):
            let elements = try self.elements(of: value)
            guard elements.count == targets.count else {
                throw TemplateError(
                    .value,
                    elements.count < targets.count
                        ? "not enough values to unpack (expected \(targets.count), got \(elements.count))"
                        : "too many values to unpack (expected \(targets.count))")
            }
            for (target, element) in zip(targets, elements) { try assign(element, to: target, in: scope) }
        }
    }

    func checkNamespaceName(_ name: String) throws(TemplateError) {
        guard !name.utf8.starts(with: "_".utf8) else {
            throw TemplateError(.security, "cannot store underscore-prefixed attribute '\(name)' on a namespace")
        }
    }

    // MARK: Statements

    enum Flow {
        case next, breakLoop, continueLoop
    }

    func run(_ body: [Statement], in scope: Scope) throws(TemplateError) -> Flow {
        try descend()
        defer { ascend() }
        for statement in body {
            try step()
            do {
                let flow = try run(statement, in: scope)
                if flow != .next { return flow }
            } catch {
                guard error.line == nil else { throw error }
                throw TemplateError(error.kind, error.message, line: statement.line)
            }
        }
        return .next
    }

    private func run(_ statement: Statement, in scope: Scope) throws(TemplateError) -> Flow {
        switch statement.node {
        case .text(let bytes): try emit(bytes)
        case .print(let expression): try print(expression, in: scope)
        case .branches(let branches, let otherwise): return try run(branches, otherwise: otherwise, in: scope)
        case .loop(let loop): try run(loop, in: scope)
        case .set(let target, let value): try set(target, to: value, in: scope)
        case .setBlock(let target, let filters, let body):
            try assign(try blockValue(body, filters, in: scope), to: target, in: scope)
        case .macro(let definition): define(definition, in: scope)
        case .callBlock(let call, let caller): try runCall(call, caller: caller, in: scope)
        case .filterBlock(let filters, let body):
            try emit(try text(of: try blockValue(body, filters, in: scope)).utf8)
        case .with(let assignments, let body): return try run(body, with: assignments, in: scope)
        case .scope(let body): return try run(body, in: try scope.inner())
        case .breakLoop: return .breakLoop
        case .continueLoop: return .continueLoop
        }
        return .next
    }

    @inline(never)
    private func run(
        _ branches: [(test: Expression, body: [Statement])], otherwise: [Statement], in scope: Scope
    ) throws(TemplateError) -> Flow {
        for (test, body) in branches where try evaluate(test, in: scope).isTrue { return try run(body, in: scope) }
        return try run(otherwise, in: scope)
    }

    @inline(never)
    private func run(
        _ body: [Statement], with assignments: [(target: AssignmentTarget, value: Expression)], in scope: Scope
    ) throws(TemplateError) -> Flow {
        let inner = try scope.inner()
        for (target, value) in assignments { try assign(try evaluate(value, in: scope), to: target, in: inner) }
        return try run(body, in: inner)
    }

    @inline(never)
    private func set(_ target: AssignmentTarget, to value: Expression, in scope: Scope) throws(TemplateError) {
        try assign(try evaluate(value, in: scope), to: target, in: scope)
    }

    /// The text that `body` prints, through the filters of its tag.
    @inline(never)
    private func blockValue(
        _ body: [Statement], _ filters: [Expression], in scope: Scope
    ) throws(TemplateError) -> JinjaValue {
        try filtered(.string(try captured(body, in: try scope.inner())), by: filters, in: scope)
    }

    @inline(never)
    private func print(_ expression: Expression, in scope: Scope) throws(TemplateError) {
        switch try evaluate(expression, in: scope) {
        case .string(let text), .markup(let text): try emit(text.utf8)
        case let value: try emit(try text(of: value).utf8)
        }
    }

    private func filtered(
        _ value: JinjaValue, by filters: [Expression], in scope: Scope
    ) throws(TemplateError) -> JinjaValue {
        var value = value
        for filter in filters {
            guard case .filter(let name, _, let arguments) = filter.node else { continue }
            value = try apply(filter: name, to: value, try evaluate(arguments, in: scope))
        }
        return value
    }

    // MARK: Loops

    @inline(never)
    private func run(_ loop: LoopStatement, in scope: Scope) throws(TemplateError) {
        try run(loop, over: try evaluate(loop.iterable, in: scope), depth: 1, in: scope)
    }

    /// One level of a loop; recursive loops come back here through `LoopVariable`.
    private func run(
        _ loop: LoopStatement, over iterable: JinjaValue, depth: Int, in scope: Scope
    ) throws(TemplateError) {
        let variable = LoopVariable(try self.elements(of: iterable), depth: depth)
        if let filter = loop.filter {
            variable.accepts = { [unowned self] element throws(TemplateError) in
                try step()
                let inner = try scope.inner()
                try assign(element, to: loop.target, in: inner)
                return try evaluate(filter, in: inner).isTrue
            }
        }
        if loop.isRecursive {
            // Only valid while this loop runs; `LoopVariable` forgets it afterwards.
            variable.recurse = { [unowned self] value throws(TemplateError) in
                let outer = output
                output = []
                defer { output = outer }
                try run(loop, over: value, depth: depth + 1, in: scope)
                try charge(output.count)
                return String(decoding: output, as: UTF8.self)
            }
        }
        defer { variable.finish() }
        while let element = try variable.next() {
            try step(4)
            let inner = try scope.inner()
            inner[template.loopSlot] = .object(variable)
            try assign(element, to: loop.target, in: inner)
            if try run(loop.body, in: inner) == .breakLoop { return }
        }
        if variable.index < 0 { _ = try run(loop.otherwise, in: try scope.inner()) }
    }

    // MARK: Macros

    private func define(_ definition: MacroDefinition, in scope: Scope) {
        let macro = makeMacro(definition, in: scope)
        if let slot = definition.slot { scope[slot] = .object(macro) }
    }

    private func makeMacro(_ definition: MacroDefinition, in scope: Scope) -> JinjaMacro {
        let macro = JinjaMacro(definition, scope: scope)
        macros.append(macro)
        return macro
    }

    @inline(never)
    private func runCall(_ call: Expression, caller: MacroDefinition, in scope: Scope) throws(TemplateError) {
        guard case .call(let callee, let arguments) = call.node else { return }
        let function = try evaluate(callee, in: scope)
        var values = try evaluate(arguments, in: scope)
        values.keyword.append(("caller", .object(makeMacro(caller, in: scope))))
        try emit(try text(of: try self.call(function, values)).utf8)
    }

    func call(_ macro: JinjaMacro, _ arguments: Arguments) throws(TemplateError) -> JinjaValue {
        guard let outer = macro.scope else { return .string("") }
        let scope = try outer.inner()
        try bind(arguments, to: macro.definition, in: scope)
        return .string(try captured(macro.definition.body, in: scope))
    }

    @inline(never)
    private func bind(
        _ arguments: Arguments, to definition: MacroDefinition, in scope: Scope
    ) throws(TemplateError) {
        var rest = arguments.keyword
        for (place, parameter) in definition.parameters.enumerated() {
            if place < arguments.positional.count {
                let value = arguments.positional[place]
                try check(nesting: value.nesting)
                scope[parameter.slot] = value
            } else if let given = rest.firstIndex(where: { $0.name == parameter.name }) {
                let value = rest.remove(at: given).value
                try check(nesting: value.nesting)
                scope[parameter.slot] = value
            } else if let defaultValue = parameter.defaultValue {
                let value = try evaluate(defaultValue, in: scope)
                try check(nesting: value.nesting)
                scope[parameter.slot] = value
            } else {
                scope[parameter.slot] = .undefined(.other("parameter '\(parameter.name)' was not provided"))
            }
        }
        let name = "macro '\(definition.name)'"
        let surplus = Array(arguments.positional.dropFirst(definition.parameters.count))
        guard surplus.isEmpty || definition.usesVarargs else {
            throw TemplateError(.type, "\(name) takes not more than \(definition.parameters.count) argument(s)")
        }
        try check(nesting: max(surplus.nesting, rest.map(\.value).nesting))
        if definition.usesVarargs { scope[definition.varargsSlot] = .tuple(surplus) }
        if definition.usesCaller {
            let caller = rest.firstIndex { $0.name == "caller" }.map { rest.remove(at: $0).value }
            scope[definition.callerSlot] = caller ?? .undefined(.other("No caller defined"))
        }
        if definition.usesKwargs {
            let kwargs = JinjaDictionary()
            for (name, value) in rest { kwargs.set(.string(name), .string(CodePoints(name)), to: value) }
            scope[definition.kwargsSlot] = .dictionary(kwargs)
        } else if let unknown = rest.first {
            throw TemplateError(.type, "\(name) takes no keyword argument '\(unknown.name)'")
        }
    }
}

/// Variables of a block, looked up outwards.
final class Scope {
    let parent: Scope?
    private let depth: Int
    private var slots: [Int] = []
    private var values: [JinjaValue] = []
    /// Slot → place; only kept once a linear search would cost more.
    private var places: [Int: Int] = [:]

    private static let linearSearchLimit = 16
    private static let maximumDepth = 400

    init() {
        parent = nil
        depth = 0
    }

    private init(inside parent: Scope) {
        self.parent = parent
        depth = parent.depth + 1
    }

    /// A new scope inside this one. Macros that define macros could nest them without end.
    func inner() throws(TemplateError) -> Scope {
        guard depth < Self.maximumDepth else {
            throw TemplateError(.limit, "scopes nested deeper than \(Self.maximumDepth)")
        }
        return Scope(inside: self)
    }

    private func place(of slot: Int) -> Int? {
        places.isEmpty ? slots.firstIndex(of: slot) : places[slot]
    }

    subscript(slot: Int) -> JinjaValue? {
        get { place(of: slot).map { values[$0] } }
        set {
            guard let newValue else { return }
            if let place = place(of: slot) {
                values[place] = newValue
                return
            }
            slots.append(slot)
            values.append(newValue)
            guard slots.count > Self.linearSearchLimit else { return }
            if places.isEmpty {
                for (place, slot) in slots.enumerated() { places[slot] = place }
            } else {
                places[slot] = slots.count - 1
            }
        }
    }
}

final class JinjaMacro: JinjaObject {
    let definition: MacroDefinition
    /// Where the macro was defined; nil once rendering has ended.
    var scope: Scope?

    init(_ definition: MacroDefinition, scope: Scope) {
        self.definition = definition
        self.scope = scope
    }

    override var typeName: String { "Macro" }
    override var qualifiedTypeName: String { "jinja2.runtime.Macro" }
    override var isCallable: Bool { true }
    override var description: String { "<Macro '\(definition.name)'>" }

    override func attribute(_ name: String) throws(TemplateError) -> JinjaValue? {
        switch name {
        case "name": .string(definition.name)
        case "arguments": .tuple(definition.parameters.map { .string($0.name) })
        case "catch_kwargs": .bool(definition.usesKwargs)
        case "catch_varargs": .bool(definition.usesVarargs)
        case "caller": .bool(definition.usesCaller)
        default: nil
        }
    }

    override func call(_ arguments: Arguments, _ evaluator: Evaluator) throws(TemplateError) -> JinjaValue {
        try evaluator.call(self, arguments)
    }
}
