/// Why a grammar or a schema cannot constrain an answer. All cases but the last three are faults of the request.
package enum GrammarError: Error, Equatable, Sendable {
    /// The text is not GBNF.
    case syntax(message: String, line: Int)
    case undefinedRule(String)
    /// The rule can begin with itself, directly or through others.
    case leftRecursion(rule: String)
    /// A keyword of JSON Schema, or a value of one, that no grammar is made of; `path` is a JSON pointer to it.
    case unsupportedKeyword(String, path: String)
    case invalidSchema(message: String, path: String)
    /// Not a single text fits.
    case unsatisfiable(path: String)
    /// Over a limit on size, nesting or ambiguity.
    case tooComplex(String)
    /// A token that the grammar does not allow here.
    case tokenRejected(Int32)
    /// The text could go on, but no token of the vocabulary does.
    case noTokenFits
}

extension GrammarError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .syntax(let message, let line): "grammar, line \(line): \(message)"
        case .undefinedRule(let name): "grammar: the rule '\(name)' is used and not defined"
        case .leftRecursion(let rule): "grammar: the rule '\(rule)' can begin with itself"
        case .unsupportedKeyword(let keyword, let path): "schema: \(keyword) is not supported (at \(place(path)))"
        case .invalidSchema(let message, let path): "schema: \(message) (at \(place(path)))"
        case .unsatisfiable(let path): "no text can satisfy the schema or grammar (at \(place(path)))"
        case .tooComplex(let what): "the schema or grammar is too complex: \(what)"
        case .tokenRejected(let token): "token \(token) does not fit the grammar"
        case .noTokenFits: "no token of the vocabulary fits the grammar"
        }
    }

    private func place(_ path: String) -> String { path.isEmpty ? "its root" : path }
}
