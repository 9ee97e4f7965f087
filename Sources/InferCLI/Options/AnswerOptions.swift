import ArgumentParser
import Foundation
import InferKit

/// What an answer may use and which form it has.
struct AnswerOptions: ParsableArguments {
    @Flag(help: "Let the model call built-in tools: a calculator and a clock.")
    var tools = false

    @Option(
        help: ArgumentHelp(
            "Whether the model calls tools: auto, none, required, or the name of one.", valueName: "choice"))
    var toolChoice = ToolChoiceArgument(choice: .auto)

    @Option(
        name: [.customShort("j"), .long],
        help: ArgumentHelp(
            "The answer is JSON of this form: a JSON Schema, or a file that holds one.", valueName: "schema"),
        completion: .file(extensions: ["json"]))
    var jsonSchema: String?

    @Option(help: ArgumentHelp("The answer obeys this GBNF grammar.", valueName: "text"))
    var grammar: String?

    @Option(
        help: ArgumentHelp("The answer obeys the GBNF grammar in this file.", valueName: "file"),
        completion: .file(extensions: ["gbnf"]))
    var grammarFile: String?

    @Option(
        help: ArgumentHelp(
            "Whether the model thinks first: on, off, or the most tokens of a thought (default: as its template has it).",
            valueName: "on|off|tokens"))
    var reasoning: ReasoningArgument?

    @Option(
        help: ArgumentHelp("How hard to think, where the model knows it: low, medium, high.", valueName: "level"))
    var reasoningEffort: String?

    func validate() throws {
        let forms = [jsonSchema, grammar, grammarFile].count { $0 != nil }
        guard forms <= 1 else {
            throw ValidationError("give one of --json-schema, --grammar and --grammar-file")
        }
        if jsonSchema?.allSatisfy(\.isWhitespace) == true { throw ValidationError("--json-schema is empty") }
        if !tools, toolChoice.choice != .auto { throw ValidationError("--tool-choice goes with --tools") }
    }

    /// Whether anything is asked for that needs a chat.
    var needsChat: Bool { tools || reasoning != nil || reasoningEffort != nil }

    /// - Throws: when a file cannot be read, or a schema is not JSON.
    func plan(_ sampling: GenerationOptions) throws -> AnswerPlan {
        var options = sampling
        options.toolChoice = toolChoice.choice
        options.reasoning = reasoning?.mode
        options.reasoningEffort = reasoningEffort
        options.grammar = try grammar ?? grammarFile.map { try TextFile.contents(of: $0) }
        var schema: GenerationSchema?
        if let jsonSchema {
            // A schema is an object, `true` or `false`; what is not JSON is a path.
            let first = jsonSchema.first { !$0.isWhitespace }
            let isText = first.map { "{[\"".contains($0) } ?? false || ["true", "false"].contains(jsonSchema)
            let text = isText ? jsonSchema : try TextFile.contents(of: jsonSchema)
            do {
                schema = try GenerationSchema(json: text)
            } catch {
                throw CommandError("the JSON Schema is not JSON: \(error)")
            }
        }
        return AnswerPlan(options: options, schema: schema, tools: tools ? BuiltInTools.all : [])
    }
}

/// How answers are made: everything but the prompt.
struct AnswerPlan {
    let options: GenerationOptions
    let schema: GenerationSchema?
    let tools: [any Tool]

    func events(
        _ session: LanguageModelSession, _ prompt: String
    ) -> AsyncThrowingStream<GenerationEvent, any Error> {
        if let schema {
            session.streamResponse(to: prompt, schema: schema, options: options).events
        } else {
            session.streamResponse(to: prompt, options: options).events
        }
    }
}

/// `auto`, `none`, `required`, or the name of a tool.
struct ToolChoiceArgument: ExpressibleByArgument, CustomStringConvertible {
    let choice: ToolChoice

    init(choice: ToolChoice) { self.choice = choice }

    init?(argument: String) {
        switch argument {
        case "auto": choice = .auto
        case "none": choice = .none
        case "required": choice = .required
        default:
            guard BuiltInTools.all.contains(where: { $0.name == argument }) else { return nil }
            choice = .named(argument)
        }
    }

    var description: String {
        switch choice {
        case .auto: "auto"
        case .none: "none"
        case .required: "required"
        case .named(let name): name
        }
    }
}

/// `on`, `off`, or a number of tokens.
struct ReasoningArgument: ExpressibleByArgument {
    let mode: GenerationOptions.Reasoning

    init?(argument: String) {
        switch argument {
        case "on": mode = .on
        case "off": mode = .off
        default:
            guard let budget = Int(argument), budget >= 0 else { return nil }
            mode = .budget(budget)
        }
    }
}
