/// What a template does with the parts of a conversation, found out by rendering small ones: templates differ in what
/// they know and in the form they want it in, and nothing in a model file says so.
struct TemplateTraits: Sendable, Equatable {
    /// System messages appear in the prompt.
    var rendersSystem = false
    /// The definitions of tools appear in the prompt.
    var rendersTools = false
    /// Calls and results appear in the prompt.
    var rendersCalls = false
    /// The arguments of a call are wanted as JSON text instead of as an object.
    var wantsArgumentText = false
    /// A call is only looked for in messages whose content is none.
    var wantsNullContent = false
    var knowsDeveloper = false

    init(_ template: ChatTemplate, render: (JSONObject) throws(TemplateError) -> String) {
        func rendered(_ messages: [JSONValue], tools: [JSONValue] = []) -> String? {
            var context = JSONObject()
            context["messages"] = .array(messages)
            context["tools"] = tools.isEmpty ? .null : .array(tools)
            context["add_generation_prompt"] = true
            return try? render(context)
        }
        let user: JSONValue = ["role": "user", "content": "probe-question"]
        func has(_ text: String?, _ needles: String...) -> Bool {
            guard let text else { return false }
            return needles.allSatisfy { text.containsCodePoints($0) }
        }
        rendersSystem = has(rendered([["role": "system", "content": "probe-system"], user]), "probe-system")
        knowsDeveloper =
            template.source.containsCodePoints("developer")
            && has(rendered([["role": "developer", "content": "probe-system"], user]), "probe-system")
        let tools = [Self.tool]
        rendersTools = has(rendered([user], tools: tools), "probe_tool")

        for (isText, isNull) in [(false, false), (false, true), (true, false), (true, true)] {
            let arguments: JSONValue = ["probe_key": "probe-value"]
            let call: JSONValue = [
                "id": "call00001", "type": "function",
                "function": ["name": "probe_call", "arguments": isText ? .string(arguments.text(.spaced)) : arguments],
            ]
            let text = rendered(
                [
                    user, ["role": "assistant", "content": isNull ? .null : "", "tool_calls": [call]],
                    ["role": "tool", "tool_call_id": "call00001", "name": "probe_call", "content": "probe-result"],
                ], tools: tools)
            // An object printed as Python writes it, or a text that is escaped once more.
            guard has(text, "probe_call", "probe_key", "probe-value", "probe-result"),
                !has(text, "'probe_key': 'probe-value'"), !has(text, "\\\"probe_key")
            else { continue }
            (rendersCalls, wantsArgumentText, wantsNullContent) = (true, isText, isNull)
            break
        }
    }

    private static let tool: JSONValue = [
        "type": "function",
        "function": [
            "name": "probe_tool", "description": "probe",
            "parameters": [
                "type": "object", "properties": ["probe_key": ["type": "string", "description": "probe"]],
                "required": ["probe_key"],
            ],
        ],
    ]
}
