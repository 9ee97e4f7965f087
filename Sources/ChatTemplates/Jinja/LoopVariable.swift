/// The variable `loop`.
///
/// A filter of the loop (`for x in list if …`) is asked about an element only when that element is needed, since it may
/// depend on what the body did before.
final class LoopVariable: JinjaObject {
    /// Elements still to come, after those in `elements`.
    private var candidates: ArraySlice<JinjaValue>
    /// Elements the filter has let through so far.
    private var elements: [JinjaValue] = []
    /// Place of the current element, -1 before the first.
    private(set) var index = -1
    let depth: Int
    /// The filter; nil if all elements are wanted.
    var accepts: ((JinjaValue) throws(TemplateError) -> Bool)?
    /// Runs the same loop over something else; nil if the loop is not recursive or has ended.
    var recurse: ((JinjaValue) throws(TemplateError) -> String)?
    private var lastChecked: JinjaValue?

    init(_ elements: [JinjaValue], depth: Int) {
        candidates = elements[...]
        self.depth = depth
    }

    /// Goes to the next element; nil at the end.
    func next() throws(TemplateError) -> JinjaValue? {
        guard try reaches(index + 1) else { return nil }
        index += 1
        return elements[index]
    }

    private func reaches(_ place: Int) throws(TemplateError) -> Bool {
        while elements.count <= place {
            guard let candidate = candidates.popFirst() else { return false }
            if try accepts?(candidate) ?? true { elements.append(candidate) }
        }
        return true
    }

    func count() throws(TemplateError) -> Int {
        _ = try reaches(.max - 1)
        return elements.count
    }

    /// The elements after the current one.
    func rest() throws(TemplateError) -> [JinjaValue] {
        _ = try count()
        return Array(elements.dropFirst(index + 1))
    }

    /// Lets go of what may refer back to this variable.
    func finish() {
        accepts = nil
        recurse = nil
        lastChecked = nil
    }

    override var contents: [JinjaValue] { elements + candidates }
    override var typeName: String { "LoopContext" }
    override var qualifiedTypeName: String { "jinja2.runtime.LoopContext" }
    override var isCallable: Bool { true }
    override var description: String { "<LoopContext>" }

    override func attribute(_ name: String) throws(TemplateError) -> JinjaValue? {
        switch name {
        case "index": return .int(index + 1)
        case "index0": return .int(index)
        case "revindex": return .int(try count() - index)
        case "revindex0": return .int(try count() - index - 1)
        case "first": return .bool(index == 0)
        case "last": return .bool(!(try reaches(index + 1)))
        case "length": return .int(try count())
        case "depth": return .int(depth)
        case "depth0": return .int(depth - 1)
        case "previtem": return index > 0 ? elements[index - 1] : .undefined(.other("there is no previous item"))
        case "nextitem":
            return try reaches(index + 1) ? elements[index + 1] : .undefined(.other("there is no next item"))
        case "cycle":
            return .function(name) { [index] arguments, _ throws(TemplateError) in
                guard !arguments.positional.isEmpty else { throw TemplateError(.type, "no items for cycling given") }
                return arguments.positional[index % arguments.positional.count]
            }
        case "changed":
            return .function(name) { [weak self] arguments, evaluator throws(TemplateError) in
                let value = JinjaValue.tuple(arguments.positional)
                guard let self else { return .bool(true) }
                if let last = lastChecked, try evaluator.areEqual(last, value) { return .bool(false) }
                lastChecked = value
                return .bool(true)
            }
        default: return nil
        }
    }

    override func call(_ arguments: Arguments, _ evaluator: Evaluator) throws(TemplateError) -> JinjaValue {
        guard let recurse else {
            throw TemplateError(.type, "The loop must have the 'recursive' marker to be called recursively.")
        }
        return .string(try recurse(try arguments.bound(to: ["iterable"], required: 1, in: "loop")[0] ?? .none))
    }
}
