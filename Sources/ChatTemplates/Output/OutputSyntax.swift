/// How a model writes reasoning and tool calls, as data: one parser reads all syntaxes from descriptions like this.
///
/// Markers are matched exactly; white space between them is free.
package struct OutputSyntax: Sendable, Equatable {
    /// A block of reasoning, such as `<think>…</think>`.
    package struct Reasoning: Sendable, Equatable {
        package var open: String
        package var close: String

        package init(open: String, close: String) {
            self.open = open
            self.close = close
        }
    }

    /// One tool call and what surrounds it.
    struct Calls: Sendable, Equatable {
        /// Around one or more calls, such as `<tool_calls>…</tool_calls>`. Both marks may be missing in the output.
        var section: Reasoning?
        /// Starts a call.
        var open: String
        /// Between `open` and the name.
        var namePrefix: String?
        /// After the name; the end of the name is also where the first character comes that no name has.
        var nameEnd: String?
        /// Between the name and a call id that follows it.
        var idOpen: String?
        var arguments: Arguments
        /// Ends a call; nil where the arguments themselves do.
        var close: String?
        /// The name is an id of the form `functions.NAME:INDEX`.
        var nameIsID = false
        /// Whether a message has room for one call only.
        var isAlone = false
    }

    enum Arguments: Sendable, Equatable {
        /// There is no name before: JSON objects with name and arguments, or lists of them, hold everything.
        case callObjects
        /// A JSON object.
        case json
        /// Gemma's notation: bare keys, strings between `<|"|>`.
        case gemma
        /// A list of Python calls, names and all.
        case pythonCalls
        case tagged(Tags)

        /// Whether the names of the calls are in the arguments.
        var holdNames: Bool { self == .callObjects || self == .pythonCalls }
    }

    /// Arguments one by one in tags; types come from the tool's schema.
    struct Tags: Sendable, Equatable {
        var open: String
        var keyEnd: String
        /// Where the value has a tag of its own.
        var valueOpen: String?
        /// After the key, up to this mark: `true` if the value is a plain string, else it is JSON.
        var stringFlagEnd: String?
        var close: String
        /// One newline after the opening and before the closing tag does not belong to the value.
        var trimsNewlines = false
        /// Only at the beginning of a line does the tag of a parameter begin one although the last is not closed. Not so
        /// where tags are written in characters that no other text has.
        var startsLine = false

        /// The opening tag of a parameter without a name, such as `<parameter>`; nil where names are not part of tags.
        var namelessOpen: String? {
            guard let end = open.utf8.firstIndex(where: { $0 == UInt8(ascii: "=") || $0 == UInt8(ascii: " ") }) else {
                return nil
            }
            return String(open[..<end]) + ">"
        }
    }

    /// How the pieces are arranged.
    enum Form: Sendable, Equatable {
        /// Markers in running text.
        case marked
        /// OpenAI's harmony: everything is a message with a header that names its channel and recipient.
        case harmony
    }

    /// Nil if the model has no marked reasoning.
    package var reasoning: Reasoning?
    var calls: Calls?
    var form = Form.marked
    /// A reply that is nothing but a JSON object is a call, if it names a tool (Llama 3.1 and later).
    var takesBareObject = false

    /// Neither reasoning nor calls: all text is content.
    package static let plain = OutputSyntax()

    /// Whether a generation prompt leaves a block of reasoning open, so that the output starts inside it.
    package func opensReasoning(generationPrompt: String) -> Bool {
        guard let reasoning else { return false }
        let bytes = Array(generationPrompt.utf8)
        guard let open = utf8Occurrences(of: Array(reasoning.open.utf8), in: bytes).last else { return false }
        let close = utf8Occurrences(of: Array(reasoning.close.utf8), in: bytes).last
        return close.map { $0 < open } ?? true
    }

    /// What ends a thought that has used up its budget, ready to be fed to the model; nil without marked reasoning.
    package var reasoningClose: String? {
        form == .harmony
            ? "<|end|><|start|>assistant<|channel|>final<|message|>" : reasoning.map { "\n\($0.close)\n\n" }
    }

    /// The same, as far as the form of the output leaves no choice: what follows may be another message than an answer.
    package var thoughtEnd: String? { form == .harmony ? "<|end|><|start|>assistant" : reasoningClose }
}

extension OutputSyntax {
    /// The syntax of the model that a template belongs to, from the markers in the template's text.
    package init(template: String) {
        func has(_ texts: String...) -> Bool { texts.allSatisfy { template.containsCodePoints($0) } }
        if has("<|channel|>", "<|message|>", "<|start|>") {
            form = .harmony
            reasoning = nil
            return
        }
        for (open, close) in [
            ("<think>", "</think>"), ("<seed:think>", "</seed:think>"), ("[THINK]", "[/THINK]"),
            ("<thinking>", "</thinking>"),
        ] where reasoning == nil && has(close) {
            reasoning = Reasoning(open: open, close: close)
        }
        if has("<|channel>", "<channel|>") { reasoning = Reasoning(open: "<|channel>thought\n", close: "<channel|>") }

        if has("｜DSML｜") {
            calls = Self.dsml(section: has("function_calls>") ? "function_calls" : "tool_calls")
        } else if has("<｜tool▁calls▁begin｜>") {
            calls = Self.deepSeek(isFenced: has("```json"))
        } else if has("<|tool_calls_section_begin|>") {
            calls = Self.kimi
        } else if has("[TOOL_CALLS]") {
            calls = Self.mistral(hasArgumentsMark: has("[ARGS]"))
        } else if has("<|tool_call>", "<|\"|>") {
            calls = Self.gemma
        } else if has("<arg_key>") {
            calls = Self.glm
        } else if has("<minimax:tool_call>") {
            calls = Self.miniMax
        } else if has("<function=") {
            let wrapper = has("<seed:tool_call>") ? "seed:tool_call" : "tool_call"
            calls = Self.functionTags(wrapper: wrapper, trimsNewlines: wrapper == "tool_call")
        } else if has("<TOOLCALL>") {
            calls = Self.callObjects(open: "<TOOLCALL>", close: "</TOOLCALL>")
        } else if has("<tool_calls>") {
            calls = Self.callObjects(open: "<tool_calls>", close: "</tool_calls>")
        } else if has("<tool_call>") {
            calls = Self.callObjects(open: "<tool_call>", close: "</tool_call>")
        } else if has("<|tool_call|>") {
            calls = Self.callObjects(open: "<|tool_call|>", close: nil)
        } else if has("<|function_call|>") {
            calls = Self.callObjects(open: "<|function_call|>", close: nil)
            calls?.isAlone = true
        } else if has("<|tool_list_start|>") || has("<|tool_call_start|>") || has("List of tools: [") {
            calls = Self.lfm2
        } else if has("<|python_tag|>") {
            calls = Self.callObjects(open: "<|python_tag|>", close: nil)
            takesBareObject = true
        }
    }

    /// Hermes, Qwen 2.5 and 3, Granite 3 and 4, Nemotron Nano v2 (a list), Apriel, MiniMax M1, Llama 3 after its tag,
    /// GigaChat.
    private static func callObjects(open: String, close: String?) -> Calls {
        Calls(open: open, arguments: .callObjects, close: close)
    }

    /// Qwen3-Coder, Qwen3.5, Nemotron 3, Seed-OSS.
    private static func functionTags(wrapper: String, trimsNewlines: Bool) -> Calls {
        Calls(
            section: Reasoning(open: "<\(wrapper)>", close: "</\(wrapper)>"), open: "<function=", nameEnd: ">",
            arguments: .tagged(
                Tags(
                    open: "<parameter=", keyEnd: ">", close: "</parameter>", trimsNewlines: trimsNewlines,
                    startsLine: true)),
            close: "</function>")
    }

    private static let miniMax = Calls(
        section: Reasoning(open: "<minimax:tool_call>", close: "</minimax:tool_call>"), open: "<invoke name=\"",
        nameEnd: "\">",
        arguments: .tagged(
            Tags(open: "<parameter name=\"", keyEnd: "\">", close: "</parameter>", startsLine: true)),
        close: "</invoke>")

    /// GLM 4.5 and later, and the models that took over its syntax.
    private static let glm = Calls(
        open: "<tool_call>",
        arguments: .tagged(
            Tags(open: "<arg_key>", keyEnd: "</arg_key>", valueOpen: "<arg_value>", close: "</arg_value>")),
        close: "</tool_call>")

    /// DeepSeek V3.2 and V4.
    private static func dsml(section: String) -> Calls {
        Calls(
            section: Reasoning(open: "<｜DSML｜\(section)>", close: "</｜DSML｜\(section)>"),
            open: "<｜DSML｜invoke name=\"", nameEnd: "\">",
            arguments: .tagged(
                Tags(
                    open: "<｜DSML｜parameter name=\"", keyEnd: "\" string=\"", stringFlagEnd: "\">",
                    close: "</｜DSML｜parameter>")),
            close: "</｜DSML｜invoke>")
    }

    /// DeepSeek V3.1; R1 puts the JSON in a fence.
    private static func deepSeek(isFenced: Bool) -> Calls {
        Calls(
            section: Reasoning(open: "<｜tool▁calls▁begin｜>", close: "<｜tool▁calls▁end｜>"),
            open: "<｜tool▁call▁begin｜>", namePrefix: isFenced ? "function<｜tool▁sep｜>" : nil,
            nameEnd: isFenced ? "```json" : "<｜tool▁sep｜>", arguments: .json,
            close: isFenced ? "```<｜tool▁call▁end｜>" : "<｜tool▁call▁end｜>")
    }

    private static let kimi = Calls(
        section: Reasoning(open: "<|tool_calls_section_begin|>", close: "<|tool_calls_section_end|>"),
        open: "<|tool_call_begin|>", nameEnd: "<|tool_call_argument_begin|>", arguments: .json,
        close: "<|tool_call_end|>", nameIsID: true)

    /// Mistral: a JSON list in the older models; name, in some an id, and arguments in the newer.
    private static func mistral(hasArgumentsMark: Bool) -> Calls {
        guard hasArgumentsMark else { return callObjects(open: "[TOOL_CALLS]", close: nil) }
        return Calls(open: "[TOOL_CALLS]", nameEnd: "[ARGS]", idOpen: "[CALL_ID]", arguments: .json)
    }

    /// LFM2 and LFM2.5, whose templates do not hold the marks.
    private static let lfm2 = Calls(
        open: "<|tool_call_start|>", arguments: .pythonCalls, close: "<|tool_call_end|>")

    private static let gemma = Calls(
        open: "<|tool_call>", namePrefix: "call:", arguments: .gemma, close: "<tool_call|>")
}
