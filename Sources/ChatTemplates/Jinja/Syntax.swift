/// A parsed expression. `depth` is the height of the tree below it, bounded by the parser, so that neither evaluation
/// nor release can overflow the stack.
final class Expression: Sendable {
    enum Node: Sendable {
        /// Never an array or object.
        case literal(JSONValue)
        /// Slot of a variable in `ParsedTemplate.names`.
        case name(Int)
        case list([Expression])
        case tuple([Expression])
        case dictionary([(key: Expression, value: Expression)])
        case negative(Expression)
        case positive(Expression)
        case not(Expression)
        case and(Expression, Expression)
        case or(Expression, Expression)
        case binary(BinaryOperator, Expression, Expression)
        case comparison(Expression, [(relation: ComparisonOperator, operand: Expression)])
        case concatenation([Expression])
        case conditional(test: Expression, then: Expression, otherwise: Expression?)
        case attribute(Expression, String)
        case item(Expression, Expression)
        case slice(Expression, start: Expression?, stop: Expression?, step: Expression?)
        case call(Expression, CallArguments)
        /// The operand is nil for the filters of a `filter` or `set` block, which take the block's text.
        case filter(String, Expression?, CallArguments)
        case test(String, Expression, CallArguments)
    }

    let node: Node
    let line: Int
    let depth: Int

    init(_ node: Node, line: Int, depth: Int) {
        self.node = node
        self.line = line
        self.depth = depth
    }
}

struct CallArguments: Sendable {
    var positional: [Expression] = []
    var keyword: [(name: String, value: Expression)] = []
    /// `*sequence`
    var unpackedSequence: Expression?
    /// `**mapping`
    var unpackedMapping: Expression?

    static let none = CallArguments()

    var all: [Expression] {
        positional + keyword.map(\.value) + [unpackedSequence, unpackedMapping].compactMap { $0 }
    }
}

enum BinaryOperator: String, Sendable {
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
    case floorDivide = "//"
    case modulo = "%"
    case power = "**"
}

enum ComparisonOperator: String, Sendable {
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case `in`
    case notIn = "not in"
}

/// What a value is assigned to.
indirect enum AssignmentTarget: Sendable {
    case name(Int)
    case attribute(Int, String)
    case tuple([AssignmentTarget])
}

struct Statement: Sendable {
    indirect enum Node: Sendable {
        case text([UInt8])
        case print(Expression)
        case branches([(test: Expression, body: [Statement])], otherwise: [Statement])
        case loop(LoopStatement)
        case set(AssignmentTarget, Expression)
        /// `{% set x | filter %}…{% endset %}`; the filters in order of application.
        case setBlock(AssignmentTarget, filters: [Expression], body: [Statement])
        case macro(MacroDefinition)
        case callBlock(Expression, caller: MacroDefinition)
        case filterBlock(filters: [Expression], body: [Statement])
        case with([(target: AssignmentTarget, value: Expression)], body: [Statement])
        /// A block that only opens a scope: `block`, `generation`.
        case scope([Statement])
        case breakLoop
        case continueLoop
    }

    let node: Node
    let line: Int
}

struct LoopStatement: Sendable {
    var target: AssignmentTarget
    var iterable: Expression
    var filter: Expression?
    var isRecursive: Bool
    var body: [Statement]
    var otherwise: [Statement]
}

struct MacroDefinition: Sendable {
    var name: String
    /// Where the macro itself is stored; nil for the body of a `call` block.
    var slot: Int?
    var parameters: [(name: String, slot: Int, defaultValue: Expression?)]
    var body: [Statement]
    /// Slots of the variables every macro knows.
    var callerSlot: Int
    var varargsSlot: Int
    var kwargsSlot: Int
    /// Which of these the body mentions; a macro takes surplus arguments only if it does.
    var usesCaller: Bool
    var usesVarargs: Bool
    var usesKwargs: Bool
}

struct ParsedTemplate: Sendable {
    var body: [Statement]
    /// Every variable name that occurs, by slot.
    var names: [String]
    var loopSlot: Int
}
