import ChatTemplates

/// The tools of a request in the one form that templates know, and what they were in the request's own.
///
/// A tool that takes free text (`custom`) becomes a function with one parameter of that text; tools of a namespace are
/// functions like others. Those that the server of an API would run itself are none of ours and are left out.
struct ToolList: Sendable {
    /// In OpenAI's form.
    private(set) var functions: [JSONValue] = []
    /// Names of tools that take free text.
    private(set) var custom: Set<String> = []
    private(set) var namespaces: [String: String] = [:]

    static let inputName = "input"

    mutating func add(function: JSONObject, namespace: String? = nil) {
        functions.append(["type": "function", "function": .object(function)])
        if let namespace, let name = function["name"]?.stringValue { namespaces[name] = namespace }
    }

    /// - Parameter tool: with `name`, `description` and `format`.
    mutating func add(custom tool: JSONValue, _ path: String) throws(APIError) {
        guard let name = tool["name"]?.stringValue, !name.isEmpty else {
            throw .invalid("\(path) has no name", param: "tools")
        }
        var description = tool["description"]?.stringValue ?? ""
        if let grammar = tool["format"]?["grammar"] ?? tool["format"], let text = grammar["definition"]?.stringValue {
            let syntax = grammar["syntax"]?.stringValue ?? "a grammar"
            description += "\n\nThe input follows this (\(syntax)):\n\(text)"
        }
        let text: JSONValue = ["type": "string", "description": "The whole input, as free text."]
        let parameters: JSONValue = [
            "type": "object", "properties": .object(JSONObject([(Self.inputName, text)])),
            "required": [.string(Self.inputName)], "additionalProperties": false,
        ]
        functions.append([
            "type": "function",
            "function": [
                "name": .string(name), "description": .string(description), "parameters": parameters,
            ],
        ])
        custom.insert(name)
    }

    /// Only those of an `allowed_tools` choice.
    mutating func keep(_ names: [String]) {
        functions.removeAll { function in
            !names.contains { $0.sameCodePoints(as: function["function"]?["name"]?.stringValue ?? "") }
        }
    }

    /// The free text in the arguments of a call.
    static func input(of arguments: JSONValue) -> String {
        arguments[inputName]?.stringValue ?? arguments.text()
    }
}

extension ChatTurn {
    /// `{"type": "allowed_tools", …}` in the chat API's nested and the responses API's flat form.
    /// - Returns: whether `choice` is one.
    mutating func readAllowedTools(_ choice: JSONValue) throws(APIError) -> Bool {
        guard choice["type"]?.stringValue == "allowed_tools" else { return false }
        let inner = choice["allowed_tools"] ?? choice
        guard let list = inner["tools"]?.arrayValue else {
            throw .invalid("tool_choice.tools is missing", param: "tool_choice")
        }
        let names = list.compactMap {
            ($0["function"]?["name"] ?? $0["custom"]?["name"] ?? $0["name"])?.stringValue
        }
        var kept = toolList
        kept.keep(names)
        try setTools(kept)
        switch inner["mode"]?.stringValue {
        case nil, "auto": break
        case "required": try setToolChoice(.required)
        case let mode?:
            throw .invalid("tool_choice.mode is '\(mode)', expected auto or required", param: "tool_choice")
        }
        return true
    }
}
