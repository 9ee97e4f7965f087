/// A grammar made ready for recognition: one automaton over bytes and calls of rules for each rule.
///
/// - There are no empty transitions. A call of a rule that has the empty text is doubled by what follows the call, so
///   that a rule is only called to read at least one byte.
/// - Every state leads to an end: what is read is always the beginning of some text.
/// - No rule can begin with itself, so calls before the next byte end.
struct GrammarProgram: Sendable {
    struct ByteEdge: Sendable {
        /// Byte classes, not bytes.
        var low: UInt8
        var high: UInt8
        var target: Int32
    }

    struct Call: Sendable {
        var rule: Int32
        /// Where it goes on after the rule.
        var back: Int32
    }

    /// The end of a whole text. It has no transitions.
    static let end: Int32 = 0

    /// The transitions of state `s` are `byteEdges[byteStart[s]..<byteStart[s + 1]]`, likewise its calls.
    var byteEdges: [ByteEdge] = []
    var byteStart: [Int32] = [0]
    var calls: [Call] = []
    var callStart: [Int32] = [0]
    /// Whether a rule may end in the state.
    var isFinal: [Bool] = []
    var startOfRule: [Int32] = []
    /// A rule has a higher rank than the rules that may call it as their first step.
    var rankOfRule: [Int32] = []
    var root: Int32 = 0
    var acceptsEmpty = false
    /// Bytes that no transition tells apart have one class; classes are ranges of bytes in rising order.
    var classOfByte = [UInt8](repeating: 0, count: 256)
    var classCount = 1

    /// - Parameter path: what to name where no text satisfies the grammar.
    init(_ grammar: Grammar, path: String = "") throws(GrammarError) {
        var builder = StateBuilder(grammar)
        try builder.build()
        var linker = try ProgramLinker(builder)
        self = try linker.link(path: path)
    }

    /// A program without states, for the linker to fill.
    init() {}

    func bytes(of state: Int32) -> Range<Int> { Int(byteStart[Int(state)])..<Int(byteStart[Int(state) + 1]) }
    func calls(of state: Int32) -> Range<Int> { Int(callStart[Int(state)])..<Int(callStart[Int(state) + 1]) }

    /// Whether nothing can be read from the state, so that a rule only returns from it.
    func onlyReturns(_ state: Int32) -> Bool { bytes(of: state).isEmpty && calls(of: state).isEmpty }
}
