import ArgumentParser
import ChatTemplates
import Foundation

/// `infer debug template`: chat templates and variables to prompts.
struct TemplateDoor: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "template",
        abstract: "Read chat templates with their variables as JSON lines, print prompts as JSON lines.",
        discussion: """
            Each line of standard input is an object {"template": …, "context": {…}, "clock": …}. The context holds \
            the variables: messages, tools, bos_token, eos_token and whatever else the template takes. The clock is \
            the local time for strftime_now, like 2025-07-04T12:30:45; without it the time is now. Each gives one line \
            {"text": …}, or {"error": …, "kind": …}, where the kind raise_exception means that the template itself \
            refused.
            """)

    func run() throws {
        try forEachLine { Self.reply(to: $0).text(.spaced) }
    }

    static func reply(to line: Data) -> JSONValue {
        let expected = "expected {\"template\": string, \"context\": object, \"clock\": string}"
        let request: JSONValue
        do {
            request = try JSONValue(parsing: [UInt8](line))
        } catch {
            return ["error": .string("\(expected): \(error)")]
        }
        guard let source = request["template"]?.stringValue else { return ["error": .string(expected)] }
        var time: CivilTime?
        if let clock = request["clock"], !clock.isNull {
            time = clock.stringValue.flatMap { CivilTime(iso: $0) }
            guard time != nil else { return ["error": "the clock is not a time like 2025-07-04T12:30:45"] }
        }
        do {
            let context = request["context"]?.objectValue ?? JSONObject()
            let text = try ChatTemplate(source: source).render(context: context) { [time] in time ?? .now() }
            return ["text": .string(text)]
        } catch {
            return ["error": .string("\(error)"), "kind": .string(error.kind.rawValue)]
        }
    }
}

/// `infer debug toolcalls`: pieces of model output to content, reasoning and tool calls.
struct ToolCallsDoor: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "toolcalls",
        abstract: "Read model outputs in pieces as JSON lines, print content, reasoning and tool calls as JSON lines.",
        discussion: """
            Each line of standard input is an object {"template": …, "tools": […], "kwargs": {…}, "chunks": […], \
            "generation_prompt": …}; the template decides which syntax is read, and without a generation prompt the \
            template is rendered with the kwargs to find it. Each gives one line {"content": …, "reasoning_content": …, \
            "tool_calls": [{"name": …, "arguments": {…}}]}. Text that looked like a call and was none is explained in \
            "diagnostic"; a call that the end of the output cut off is in "unfinished_call", unless "finish_reason" is \
            "stop" in the request: then it is content.
            """)

    func run() throws {
        try forEachLine { Self.reply(to: $0).text(.spaced) }
    }

    static func reply(to line: Data) -> JSONValue {
        let expected = "expected {\"template\": string, \"tools\": array, \"chunks\": array of strings}"
        let request: JSONValue
        do {
            request = try JSONValue(parsing: [UInt8](line))
        } catch {
            return ["error": .string("\(expected): \(error)")]
        }
        guard let source = request["template"]?.stringValue, let chunks = request["chunks"]?.arrayValue else {
            return ["error": .string(expected)]
        }
        let prompt = request["generation_prompt"]?.stringValue ?? generationPrompt(source, request)
        var parser = OutputParser(
            syntax: OutputSyntax(template: source), tools: request["tools"]?.arrayValue ?? [],
            generationPrompt: prompt)
        var output = ParsedOutput()
        for chunk in chunks {
            guard let text = chunk.stringValue else { return ["error": .string(expected)] }
            for event in parser.feed(text) { output.add(event) }
        }
        let isTruncated = request["finish_reason"]?.stringValue != "stop"
        for event in parser.finish(isTruncated: isTruncated) { output.add(event) }
        return json(output)
    }

    /// The end of a prompt for one user message; empty if the template does not take that.
    private static func generationPrompt(_ source: String, _ request: JSONValue) -> String {
        var context = request["kwargs"]?.objectValue ?? JSONObject()
        if context["messages"] == nil { context["messages"] = [["role": "user", "content": "Hello"]] }
        if let tools = request["tools"] { context["tools"] = tools }
        context["add_generation_prompt"] = true
        return (try? ChatTemplate(source: source).render(context: context)) ?? ""
    }

    private static func json(_ output: ParsedOutput) -> JSONValue {
        var reply = JSONObject()
        reply["content"] = .string(output.content)
        reply["reasoning_content"] = .string(output.reasoning)
        reply["tool_calls"] = .array(
            output.toolCalls.map { call in
                var object = JSONObject()
                if let id = call.id { object["id"] = .string(id) }
                object["name"] = .string(call.name)
                object["arguments"] = .object(call.arguments)
                return .object(object)
            })
        if !output.diagnostics.isEmpty {
            reply["diagnostic"] = .string(output.diagnostics.map(\.message).joined(separator: "; "))
        }
        if let unfinished = output.diagnostics.compactMap(\.unfinishedCall).last {
            reply["unfinished_call"] = .string(unfinished)
        }
        return .object(reply)
    }
}
