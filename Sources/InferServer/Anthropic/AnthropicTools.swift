import ChatTemplates

/// The tools of a request of Anthropic's API.
///
/// Those that the client runs by a schema that Anthropic's models know by heart get it here in words. Those that
/// Anthropic's servers run (`web_search_…`, `code_execution_…`) are nobody's here and are left out: a call of one would
/// reach a client that cannot answer it.
enum AnthropicTools {
    static func list(_ tools: [JSONValue]) throws(APIError) -> ToolList {
        var list = ToolList()
        for tool in tools {
            let type = tool["type"]?.stringValue ?? "custom"
            var function = JSONObject([("name", tool["name"] ?? .null)])
            if type == "custom" || tool["input_schema"] != nil {
                function["description"] = tool["description"]
                function["parameters"] = tool["input_schema"] ?? .object(JSONObject())
                if let strict = tool["strict"] { function["strict"] = strict }
            } else if let known = known.first(where: { type.hasPrefix($0.prefix) }) {
                function["description"] = .string(known.description)
                function["parameters"] = known.parameters
            } else {
                continue
            }
            list.add(function: function)
        }
        return list
    }

    private struct Known {
        let prefix: String
        let description: String
        let parameters: JSONValue

        init(_ prefix: String, _ description: String, _ properties: [(String, JSONValue)], required: [JSONValue]) {
            self.prefix = prefix
            self.description = description
            parameters = [
                "type": "object", "properties": .object(JSONObject(properties)), "required": .array(required),
            ]
        }
    }

    private static func text(_ description: String) -> JSONValue {
        ["type": "string", "description": .string(description)]
    }

    private static func numbers(_ count: Int, _ description: String) -> JSONValue {
        [
            "type": "array", "items": ["type": "integer"], "minItems": .int(count), "maxItems": .int(count),
            "description": .string(description),
        ]
    }

    private static let edits: [(String, JSONValue)] = [
        ("path", text("Absolute path of the file or folder.")),
        ("file_text", text("For create: the content of the new file.")),
        ("old_str", text("For str_replace: the text to replace, which must occur exactly once.")),
        ("new_str", text("For str_replace: what to put in its place.")),
        (
            "insert_line",
            ["type": "integer", "description": "For insert: the line behind which to insert; 0: in front."]
        ),
        ("insert_text", text("For insert: what to insert.")),
        ("view_range", numbers(2, "For view: the first and last line; -1: to the end.")),
    ]

    /// From Anthropic's descriptions of these tools.
    private static let known = [
        Known(
            "bash_", "Runs commands in a shell that keeps its state between calls.",
            [
                ("command", text("The command to run.")),
                ("restart", ["type": "boolean", "description": "Whether to start the shell anew instead."]),
            ], required: []),
        Known(
            "text_editor_", "Views, creates and edits text files.",
            [("command", ["type": "string", "enum": ["view", "create", "str_replace", "insert", "undo_edit"]])] + edits,
            required: ["command", "path"]),
        Known(
            "memory_", "Keeps notes in files under /memories, which last from one conversation to the next.",
            [("command", ["type": "string", "enum": ["view", "create", "str_replace", "insert", "delete", "rename"]])]
                + edits + [("old_path", text("For rename.")), ("new_path", text("For rename."))],
            required: ["command"]),
        Known(
            "computer_", "Uses the mouse, the keyboard and the screen of a computer.",
            [
                ("action", text("For example key, type, mouse_move, left_click, screenshot, scroll, wait.")),
                ("coordinate", numbers(2, "Where, in pixels from the left and the top.")),
                ("text", text("What to type, or the keys to press.")),
                ("scroll_direction", ["type": "string", "enum": ["up", "down", "left", "right"]]),
                ("scroll_amount", ["type": "integer"]), ("duration", ["type": "number"]),
            ], required: ["action"]),
    ]
}
