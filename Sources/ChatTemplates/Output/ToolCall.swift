/// A call of a tool that the model wrote.
package struct ToolCall: Sendable, Equatable {
    /// Present where the syntax carries one.
    package var id: String?
    package var name: String
    package var arguments: JSONObject

    package init(id: String? = nil, name: String, arguments: JSONObject) {
        self.id = id
        self.name = name
        self.arguments = arguments
    }
}

/// Something in the output that looked like a call and was none.
package struct OutputDiagnostic: Sendable, Equatable {
    package var message: String
    /// For a call that the end of the output cut off: its text, which is not in the content. A malformed call is in the
    /// content in full, and this is nil.
    package var unfinishedCall: String?
}

/// A piece of parsed output, in the order of the text.
package enum OutputEvent: Sendable, Equatable {
    case content(String)
    case reasoning(String)
    /// Always a whole call: arguments are only known to be right once they are complete.
    case toolCall(ToolCall)
    case diagnostic(OutputDiagnostic)
}

/// All of an output; the streamed pieces put together give the same.
package struct ParsedOutput: Sendable, Equatable {
    package var content = ""
    package var reasoning = ""
    package var toolCalls: [ToolCall] = []
    package var diagnostics: [OutputDiagnostic] = []

    package init() {}

    package mutating func add(_ event: OutputEvent) {
        switch event {
        case .content(let text): content += text
        case .reasoning(let text): reasoning += text
        case .toolCall(let call): toolCalls.append(call)
        case .diagnostic(let diagnostic): diagnostics.append(diagnostic)
        }
    }
}

extension ToolCall {
    /// Reads an object that holds a whole call: name and arguments under the keys that models use.
    static func reading(_ value: JSONValue) throws(CallError) -> ToolCall {
        guard case .object(var object) = value else { throw CallError("expected an object with name and arguments") }
        if case .object(let function)? = object["function"] { object = function }
        guard let name = object["name"]?.stringValue ?? object["function"]?.stringValue, !name.isEmpty else {
            throw CallError("the call has no name")
        }
        let id = value["id"]?.stringValue
        let arguments = object["arguments"] ?? object["parameters"] ?? .null
        return ToolCall(id: id, name: name, arguments: try Self.arguments(arguments))
    }

    /// Arguments are an object; some models put the object in a string or leave it out.
    static func arguments(_ value: JSONValue) throws(CallError) -> JSONObject {
        switch value {
        case .object(let object): return object
        case .null: return JSONObject()
        case .string(let text):
            if case .object(let object)? = try? JSONValue(parsing: text) { return object }
            throw CallError("the arguments are not a JSON object")
        default: throw CallError("the arguments are not a JSON object")
        }
    }
}

/// Why a text that starts like a call is none.
struct CallError: Error {
    let message: String

    init(_ message: String) { self.message = message }
}
