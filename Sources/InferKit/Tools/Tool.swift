import ChatTemplates

/// Something that a model can call while it answers. Shaped like the protocol of the same name in Apple's
/// FoundationModels.
///
/// ```swift
/// struct Weather: Tool {
///     struct Arguments: Decodable { var city: String }
///
///     let name = "get_weather"
///     let description = "Tells the weather in a city."
///     let parameters = GenerationSchema.object(["city": .string()])
///
///     func call(arguments: Arguments) async throws -> String { "sunny" }
/// }
/// ```
/// A model that calls several tools at once has them run at the same time.
public protocol Tool<Arguments, Output>: Sendable {
    /// What a call gives the tool. ``GeneratedContent`` takes any arguments as they are.
    associatedtype Arguments: Decodable
    /// What the model is told of the result.
    associatedtype Output: PromptRepresentable

    /// Letters, digits, `_` and `-`.
    var name: String { get }
    /// Tells the model when to call it.
    var description: String { get }
    /// The form of ``Arguments``. With a form that grammars support the model cannot write other arguments.
    var parameters: GenerationSchema { get }

    /// Does the work. An error ends the answer with ``LanguageModelSession/ToolCallError``; what the model can deal with
    /// is better told in the output.
    func call(arguments: Arguments) async throws -> Output
}

/// What can be told to a model as text.
public protocol PromptRepresentable: Sendable {
    /// The text.
    var promptText: String { get }
}

extension String: PromptRepresentable {
    /// The text itself.
    public var promptText: String { self }
}

extension Int: PromptRepresentable {
    /// Decimal digits.
    public var promptText: String { String(self) }
}

extension Double: PromptRepresentable {
    /// The shortest decimal that reads back the same.
    public var promptText: String { String(self) }
}

extension Bool: PromptRepresentable {
    /// `true` or `false`.
    public var promptText: String { String(self) }
}

extension GeneratedContent: PromptRepresentable {
    /// Compact JSON.
    public var promptText: String { jsonString }
}

extension Tool {
    /// As templates want it.
    var definition: JSONValue {
        [
            "type": "function",
            "function": [
                "name": .string(name), "description": .string(description), "parameters": parameters.json,
            ],
        ]
    }

    /// What the model is told.
    func answer(_ call: Transcript.ToolCall) async throws -> String {
        let arguments: Arguments
        do {
            arguments = try call.arguments.value()
        } catch {
            // The model can mend this, nobody else.
            return "Error: the arguments do not have the form \(parameters.jsonString)"
        }
        do {
            return try await self.call(arguments: arguments).promptText
        } catch let error as CancellationError {
            throw error
        } catch {
            throw LanguageModelSession.ToolCallError(tool: self, underlyingError: error)
        }
    }
}

extension LanguageModelSession {
    /// A tool threw an error.
    public struct ToolCallError: Error, CustomStringConvertible {
        /// The tool.
        public let tool: any Tool
        /// What it threw.
        public let underlyingError: any Error

        /// One line for people.
        public var description: String { "the tool \(tool.name) failed: \(underlyingError)" }
    }
}

/// Which tools a model may or must call.
public enum ToolChoice: Sendable, Equatable {
    /// The model decides.
    case auto
    /// None: the tools are kept from it.
    case none
    /// At least one.
    case required
    /// The one of this name.
    case named(String)

    var callChoice: CallChoice {
        switch self {
        case .auto: .auto
        case .none: .none
        case .required: .required
        case .named(let name): .named(name)
        }
    }
}
