/// Why a template could not be read or rendered.
package struct TemplateError: Error, Equatable, CustomStringConvertible {
    /// The kinds are those of the reference implementation (Jinja2 on Python), whose words users know.
    package enum Kind: String, Sendable {
        case syntax
        /// The template itself called `raise_exception`; the message is meant for the user.
        case raised = "raise_exception"
        case type = "TypeError"
        case undefined = "UndefinedError"
        case value = "ValueError"
        case zeroDivision = "ZeroDivisionError"
        case security = "SecurityError"
        case overflow = "OverflowError"
        /// One of `TemplateLimits` was reached.
        case limit
        /// Part of Jinja that chat templates have no use for, such as `include`.
        case unsupported
    }

    package var kind: Kind
    package var message: String
    /// Line of the template, counted from 1, where it is known.
    package var line: Int?

    package init(_ kind: Kind, _ message: String, line: Int? = nil) {
        self.kind = kind
        self.message = message
        self.line = line
    }

    package var description: String {
        if kind == .raised { return message }
        return "\(kind.rawValue): \(message)" + (line.map { " (template line \($0))" } ?? "")
    }
}

/// Bounds on what a template, which comes from a file and is not trusted, may cost.
package struct TemplateLimits: Sendable {
    /// Expressions, statements and elements handled.
    package var steps = 20_000_000
    /// Bytes of text and lists made in one rendering, all together: bounds memory and copying time.
    package var allocatedBytes = 1 << 30
    /// Bytes of the result, and of any one string on the way.
    package var outputBytes = 64 << 20
    /// Evaluations inside each other, over all macros; bounds the use of the thread's stack.
    package var evaluationDepth = 400

    package init() {}

    /// Nesting of brackets and blocks in the source.
    static let syntaxDepth = 100
    /// Bytes of source.
    static let sourceBytes = 4 << 20
    /// Elements of one `range`, as Jinja's sandbox has it.
    static let rangeLength = 100_000
}
