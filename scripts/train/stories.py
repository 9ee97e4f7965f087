"""Short stories from a grammar of plots: a hero, a friend, a wish, a problem, a resolution.

Every random choice comes from the `random.Random` that the caller passes in, so a seed names a story.
All sentences were written for this project.
"""

# Few names, so that a small model has time to learn to keep them apart.
GIRLS = "Mia Lily Anna Zoe Nora Ella Ruby Lucy".split()
BOYS = "Tom Max Leo Sam Ben Finn Jack Theo".split()
PETS_F = "Luna Pip Hazel Misty Coco Pearl".split()
PETS_M = "Rusty Bruno Dusty Pepper Otto Rocky".split()

ANIMALS = ("fox rabbit bear mouse cat dog owl duck frog hedgehog squirrel turtle pig lamb goat pony deer beaver "
           "badger otter lion elephant monkey penguin bird bee snail wolf dragon horse").split()

TRAITS = "little small brave shy kind clever curious quiet happy young gentle cheerful".split()
COLOURS = "red blue green yellow white brown golden purple orange pink".split()
TOYS = "kite ball boat drum hat scarf lantern wagon book whistle basket umbrella kettle blanket bell box".split()
TREASURES = ("shiny stone,old map,silver key,golden coin,glass bottle,music box,wooden ship,small lamp,"
             "blue feather,magic seed,tiny crown,bag of marbles").split(",")
FOODS = "cake,pie,bread,soup,cookies,pancakes,jam,honey cake,apple pie,carrot soup".split(",")
FRUITS = "apples pears berries nuts carrots plums cherries pumpkins".split()
PLACES = ("the forest,the park,the garden,the meadow,the village,the market,the valley,the woods,the orchard,"
          "the old barn,the field,the town").split(",")
HOMES = ("a small house by the river,a cosy cottage near the forest,a little town by the sea,a farm on a hill,"
         "a village in the valley,a warm house with a red door,a quiet place under the old oak tree,"
         "a tiny house at the edge of the meadow").split(",")
ELDERS_F = "grandmother,mother,aunt,teacher".split(",")
ELDERS_M = "grandfather,father,uncle,neighbour".split(",")
SKILLS = ("swim,ride a bike,play the drum,whistle,dance,paint,climb trees,skate,sing,read,bake bread,tie knots,"
          "juggle,fly a kite").split(",")
LIKES = ("to play outside,to sing songs,to look at the stars,to pick flowers,to draw pictures,to run in the grass,"
         "to read books,to build things,to help others,to explore,to tell jokes,to collect stones,to watch the clouds,"
         "to splash in puddles").split(",")
HELPERS = "farmer,baker,fisherman,gardener,postman,shepherd,miller,painter".split(",")
FEARS = "the dark,thunder,the deep water,high places,loud noises,the big slide".split(",")
FLOWERS = "sunflower,rose,bean plant,apple tree,tulip,pumpkin plant".split(",")
MORALS = {
    "share": ["{n} learned that sharing makes everyone happy.", "From then on, {n} always shared with {p} friends.",
              "Sharing made the day better for both of them."],
    "help": ["{n} learned that it is good to help others.", "It feels good to help a friend.",
             "{n} knew that even small friends can give big help."],
    "practice": ["{n} learned that practice makes hard things easy.", "{n} was glad that {s} did not give up.",
                 "Never give up, thought {n}, and keep trying."],
    "brave": ["{n} learned that being brave means trying even when you are afraid.",
              "After that day, {n} was not so afraid any more.", "{n} felt very brave and very proud."],
    "honest": ["{n} learned that it is always better to tell the truth.", "Telling the truth made {n} feel light again.",
               "From then on, {n} always told the truth."],
    "patient": ["{n} learned that good things take time.", "Waiting is hard, but it was worth it.",
                "{n} knew now that you must be patient with growing things."],
    "friend": ["And that is how {n} and {f} became best friends.", "From that day on, {n} and {f} played together every day.",
               "{n} was happy to have a new friend."],
    "care": ["After that, {n} always took good care of {p} things.", "{n} promised to be more careful.",
             "{n} never left the {obj} behind again."],
}
CLOSINGS = ["Then they all went home and slept well.", "It was the best day of the year.", "They smiled all the way home.",
            "The sun went down, and everyone was happy.", "That night, {n} went to bed with a big smile.",
            "And they lived happily ever after.", "The end.", "They laughed and hugged each other.",
            "{n} could not wait for the next day.", ""]

OPENINGS = [
    "Once upon a time, there was {intro}. {n} lived in {home}.",
    "Once upon a time, there was {intro} who lived in {home}.",
    "Once upon a time, in {home}, there lived {intro}.",
    "Once upon a time, {intro} lived in {home} with {p} {elder}.",
    "Once there was {intro} who loved {likes}.",
    "There was once {intro}. Every day, {n} liked {likes}.",
    "Long ago, {intro} lived in {home}.",
    "One day, {intro} went to {place}.",
    "In {home} lived {intro}.",
]
SECONDS = ["{n} loved {likes}.", "{S} had a good friend, {fintro}.", "Everyone liked {n} because {s} was always kind.",
           "{P} best friend was {fintro}.", "More than anything, {n} loved {likes}.", "", ""]

# Each plot: (name, moral keys, sentence groups). One sentence is drawn from every group, in order.
PLOTS = {
    "lost": (["care", "help"], [
        ["{n} had {a_obj} that {s} loved very much.", "{P} favourite thing was {a_obj}.",
         "For {p} birthday, {n} got {a_obj} from {p} {elder}.", "{n} took {p} {col} {obj} everywhere."],
        ["One {wday} morning, the {obj} was gone.", "One day, {n} could not find the {obj}.",
         "But one day, the {col} {obj} was missing.", "One windy day, {n} lost the {obj} in {place}."],
        ["{n} looked under the bed and behind the door, but it was not there.",
         "{S} looked everywhere, but {s} could not find it.", "{n} searched all day. {S} was very sad.",
         '"Oh no! Where is my {obj}?" cried {n}.'],
        ["{f} the {fk} saw that {n} was sad. \"What is wrong?\" asked {f}.",
         "Then {n} met {f}. \"Why are you crying?\" asked {f}.",
         "{n} told {f} about the {obj}.", "{f} came by and asked what was wrong."],
        ['"I lost my {obj}," said {n}. "I will help you look," said {f}.',
         '"My {obj} is gone," said {n}. "Do not worry," said {f}. "We will find it together."',
         '"Let us look for it together," said {f}, and {n} felt a little better.'],
        ["They went to {place} and looked behind every tree.", "They walked to {place} and looked high and low.",
         "Together they followed the path to {place}.", "First they looked near {place2}, and then they went to {place}."],
        ["At last, {f} saw something {col} in the grass. It was the {obj}!",
         "Suddenly, {n} saw the {col} {obj} under a bush!", "There, next to a big rock, was the {obj}!",
         "High up in a tree hung the {col} {obj}. {f} helped {n} to get it down."],
        ['"Thank you, {f}!" said {n}, and {s} hugged {p} friend.', '{n} jumped for joy. "You found it! Thank you!" {s} said.',
         "{n} was so happy that {s} danced around.", '"I could not have found it without you," said {n}.'],
    ]),
    "stuck": (["help", "friend"], [
        ["One {adj_day} day, {n} was walking near {place}.", "One morning, {n} went for a walk to {place}.",
         "One day, {n} was on the way to {place}.", "After lunch, {n} went to {place} to play."],
        ["Suddenly, {s} heard a small voice. \"Help! Help!\"", "Then {s} heard someone crying.",
         '"Please help me!" called a voice.', "There {s} heard a strange sound behind a bush."],
        ["It was {fintro}. {F_s} was stuck in a hole.", "It was {fintro}, and {fs} could not get out of the mud.",
         "There was {fintro}. {F_p} foot was caught between two stones.", "{n} saw {fintro} who had fallen into a ditch."],
        ["{n} was afraid at first, but {s} wanted to help.", '"Do not be afraid," said {n}. "I will help you."',
         "{n} thought hard about what to do.", '"Stay calm," said {n}. "I have an idea."'],
        ["{n} found a long stick. \"Hold on to this!\" {s} said.", "{n} took a rope and threw one end to {f}.",
         "{n} ran to get the {helper}, who had a long rope.", "{n} gave {f} a hand and pulled."],
        ["{S} pulled and pulled. It was hard work.", "They pulled once, they pulled twice, but nothing happened.",
         "{n} pulled as hard as {s} could."],
        ["At last, {f} was free!", "With one big pull, {f} came out!", "Then, with a pop, {f} was free."],
        ['"Thank you for saving me," said {f}. "You are very kind."', '"You saved me!" said {f}. "Will you be my friend?"',
         '{f} smiled. "Thank you, {n}. I will never forget this."'],
        ["{f} gave {n} a basket of {fruits} to say thank you.", "They shared some {fruits} and talked for a long time.",
         "Then they played in {place} until the sun went down."],
    ]),
    "share": (["share"], [
        ["One day, {n} picked a big basket of {fruits}.", "One morning, {n} found many {fruits} in {place}.",
         "One day, {p} {elder} gave {n} a basket full of {fruits}."],
        ['"These {fruits} are all mine," thought {n}.', "{n} wanted to eat all the {fruits} alone.",
         "{n} hid the {fruits} so that nobody could see them."],
        ["Then {f} the {fk} came by. {F_s} looked hungry.", "Soon {fintro} came along. \"I am so hungry,\" said {f}.",
         "On the way home, {n} met {fintro}. {f} had nothing to eat."],
        ['"May I have some {fruits}?" asked {f}.', '"Those look good," said {f}. "Can I have one, please?"',
         "{f} looked at the {fruits} and said nothing."],
        ['"No," said {n}. "They are mine." {f} walked away sadly.', "{n} shook {p} head and held the basket tight.",
         "At first, {n} said no. {f} was sad."],
        ["{n} sat down to eat, but {s} did not feel happy alone.", "{n} ate one, but it did not taste good.",
         "Then {n} saw a tear on the face of {f}, and {p} heart felt heavy."],
        ['So {n} ran after {f}. "Wait! Let us share," {s} said.', '"I am sorry," said {n}. "Please take half of them."',
         "{n} thought about it and gave half of the {fruits} to {f}."],
        ["{f} smiled, and they ate the {fruits} together under a tree.", '"Thank you, {n}!" said {f}, and they sat down to eat.',
         "They sat in {place} and ate and laughed."],
    ]),
    "skill": (["practice"], [
        ["{n} wanted to learn to {skill}.", "More than anything, {n} wished {s} could {skill}.",
         "All of {p} friends could {skill}, but {n} could not."],
        ["{S} tried, but it did not go well.", "The first time {s} tried, everything went wrong.",
         "{n} tried once and fell down.", "But it was much harder than {s} thought."],
        ['"I will never learn it," said {n}, and {s} sat down sadly.', "{n} felt sad and wanted to give up.",
         '"This is too hard," {s} said with tears in {p} eyes.'],
        ["{P} {elder} saw this and sat down next to {o}.", "Then {p} friend {f} came to {o}.",
         "{f} the {fk} saw how sad {n} was."],
        ['"Try a little every day," {es} said. "I will show you."', '"Nobody can do it the first time," {es} said. "Try again."',
         '"I fell down many times too," {es} said. "You just need to practise."'],
        ["So {n} practised every morning in {place}.", "Every day, {n} practised a little more.",
         "{n} tried again on {wday}, and again on the next day."],
        ["Some days were good and some days were bad.", "Step by step, it became easier.",
         "Slowly, {n} got better and better."],
        ["One day, {n} could really {skill}!", "Then, one {adj_day} day, it worked. {n} could {skill}!",
         'After many days, {n} shouted, "Look! I can {skill}!"'],
        ["Everyone clapped their hands.", "{f} cheered and clapped.", "{P} {elder} was very proud of {o}."],
    ]),
    "storm": (["help", "brave"], [
        ["One day, dark clouds came over {place}.", "One evening, a big storm came.",
         "One afternoon, the wind began to blow very hard."],
        ["Rain fell and thunder rolled.", "The rain came down and the trees shook.", "It rained and rained, and the wind was loud."],
        ["{n} was safe inside, but then {s} thought of {f}.", "{n} looked out of the window and saw {f} in the rain.",
         "{n} heard a knock at the door. It was {fintro}, all wet."],
        ['"My house is broken," said {f}. "I have no place to go."', "The wind had blown away the roof of {f}'s house.",
         "{f} was cold and afraid."],
        ['"Come in," said {n}. "You can stay with me."', "{n} opened the door and gave {o_f} a warm blanket.",
         '"Do not worry," said {n}. "There is room for two."'],
        ["{n} made hot {food}, and they ate it by the fire.", "They sat by the fire and told stories all night.",
         "They drank warm milk and listened to the rain."],
        ["In the morning, the sun was shining again.", "When they woke up, the storm was over.",
         "The next day, the sky was blue."],
        ["Then they built a new house for {f} together.", "All the neighbours came to help, and soon the house was fixed.",
         "{n} helped {f} to mend the roof."],
        ['"You are a true friend," said {f}.', '"Thank you," said {f}. "Now I know what a friend is."',
         "{f} thanked {n} again and again."],
    ]),
    "treasure": (["share", "friend"], [
        ["One day, {n} found {a_treasure} in {place}.", "One morning, {n} was digging in {place} and found {a_treasure}.",
         "While {n} was playing in {place}, {s} saw something under the leaves. It was {a_treasure}."],
        ['"What is this?" {s} wondered.', '"How strange," thought {n}.', '"I have never seen such a thing," {s} said.'],
        ["{S} showed it to {f}, {fkintro}.", "{n} ran to {f} and showed it to {o_f}.", "{n} took it to {p} {elder}."],
        ["\"It must belong to someone,\" they said. \"Let us find out.\"", '"Maybe somebody lost it," they thought.',
         '"Let us ask in the village," they said.'],
        ["They asked the {helper}, but it was not his.", "First they asked the {helper}. \"It is not mine,\" he said.",
         "They knocked on every door."],
        ["Then they met an old woman who looked sad.", "At the last house lived an old man.", "At the end of the road stood an old woman."],
        ['"That is my {treasure}!" the old one said. "I lost it long ago."',
         '"You have found my {treasure}! I looked for it for years."', '"Oh, my {treasure}! Thank you, thank you!"'],
        ["{n} gave it back with a smile.", "{n} wanted to keep it, but {s} knew what was right and gave it back.",
         "{n} was glad to give it back."],
        ["To say thank you, the old one gave them {food} and told them a story.", "They all sat down and ate {food} together.",
         "The old one gave {n} {a_obj} as a present."],
    ]),
    "cook": (["help", "patient"], [
        ["It was the birthday of {p} {elder}, and {n} wanted to make {food}.", "One day, {n} wanted to make {food} for {f}.",
         "{n} wanted to surprise {p} {elder} with {food}."],
        ["{S} took flour, milk and {fruits}.", "{S} went to the market and bought what {s} needed.",
         "{n} put on a big apron and got a big bowl."],
        ["But then the bowl fell on the floor. What a mess!", "But {s} put in too much salt. It tasted bad!",
         "But {s} forgot the oven, and everything was burnt."],
        ['"Oh no," said {n}. "Now I have nothing to give."', "{n} almost cried.", '"What can I do now?" {s} sighed.'],
        ["Just then, {f} knocked at the door.", "{f} the {fk} smelled it and came in.", "{f} looked in through the window."],
        ['"Let us do it again together," said {f}.', '"Do not worry," said {f}. "I can help you."',
         '"Everyone makes mistakes," said {f}. "We will try again."'],
        ["They mixed and stirred and laughed.", "{n} mixed, and {f} stirred.", "They cleaned the kitchen and started again."],
        ["This time, the {food} came out just right.", "Soon the whole house smelled wonderful.", "The {food} looked very good now."],
        ["Everyone ate and said it was the best {food} in the world.", "They put it on the table, and everybody was happy.",
         "There was enough for everyone."],
    ]),
    "newcomer": (["friend"], [
        ["One day, {fintro} came to live near {place}.", "One {wday}, {n} saw someone new in {place}. It was {fintro}.",
         "A new neighbour had come: {fintro}."],
        ["{f} was very shy and did not talk to anyone.", "{f} sat alone and looked at the ground.",
         "Nobody knew {f}, and {f} knew nobody."],
        ["The others played, but {f} only watched.", "The others did not ask {o_f} to play.", "{f} felt very alone."],
        ["{n} saw this and felt sorry for {o_f}.", "{n} remembered how it felt to be alone.", '"I wonder why {fs} is so sad," thought {n}.'],
        ['So {n} walked over and said, "Hello, I am {n}. What is your name?"', '"Hi," said {n}. "Do you want to play with my {obj}?"',
         "So {n} took {p} {obj} and sat down next to {f}."],
        ['"I am {f}," said a very small voice.', "At first, {f} said nothing. Then {fs} smiled.", '{f} looked up. "I would like that," {fs} said.'],
        ["They played with the {col} {obj} all afternoon.", "{f} knew a funny game, and {n} laughed a lot.",
         "{n} showed {o_f} all the best places in {place}."],
        ["Soon the others came and wanted to play too.", "Then all the others joined the game.", "After that, {f} was not shy any more."],
    ]),
    "broken": (["honest"], [
        ["One day, {n} was playing with a ball in the house.", "One rainy day, {n} ran through the house.",
         "One day, {n} was home alone and felt bored."],
        ["Crash! The {treasure} of {p} {elder} fell down and broke.", "Oh no! {S} hit the table, and the {treasure} broke.",
         "By accident, {n} broke the {treasure} that {p} {elder} loved."],
        ["{n} was afraid. {S} hid the pieces under the bed.", "{n} did not know what to do, so {s} hid behind the door.",
         "Quickly, {s} put the pieces in a box."],
        ["When {p} {elder} came home, {es2} asked, \"Where is my {treasure}?\"", "Soon {p} {elder} looked for the {treasure}.",
         '"Have you seen my {treasure}?" asked {p} {elder}.'],
        ['"I do not know," said {n}, but {p} face became red.', "{n} said nothing, but {p} tummy hurt.",
         '"No," said {n}, and {s} felt very bad.'],
        ["All night, {n} could not sleep.", "{n} did not want to eat or play.", "{S} talked to {f}, who said, \"You must tell the truth.\""],
        ['At last, {n} said, "It was me. I broke it. I am sorry."', '"I must tell you something," said {n}. "I broke it."',
         'Then {n} began to cry. "I broke it, and I am so sorry."'],
        ["{P} {elder} gave {o} a hug. \"Thank you for telling the truth.\"", '"I am glad that you told me," {es2} said. "Things can be mended."',
         "{P} {elder} was not angry. \"I love you more than any {treasure}.\""],
        ["Together they glued the pieces.", "Then they mended it together.", "They fixed it with some glue, and it was almost like new."],
    ]),
    "race": (["practice", "friend"], [
        ["One day, there was a big race in {place}.", "Every {season}, there was a race around {place}.",
         "{n} and {f} wanted to know who was faster, so they had a race."],
        ["{f} the {fk} was very fast. \"I will win,\" said {f}.", '"Nobody can beat me," said {f} the {fk}.',
         "Everybody thought that {f} would win."],
        ["{n} was not so fast, but {s} wanted to try.", "{n} was small, but {s} had a brave heart.", '"I will do my best," said {n}.'],
        ['"One, two, three, go!" called the {helper}.', "They stood at the line. \"Go!\" shouted the {helper}.",
         "Then the race began."],
        ["{f} ran ahead like the wind.", "At first, {f} was far ahead.", "Soon {n} could not see {f} any more."],
        ["But {f} stopped to rest under a tree.", "Then {f} fell over a stone and hurt {fp} knee.",
         "But {f} took the wrong way and got lost."],
        ["{n} ran on, step by step, and came closer.", "{n} did not stop. {S} ran and ran.", "When {n} saw {f}, {s} stopped to ask if {fs} was all right."],
        ['"Come," said {n}. "Let us go on together."', "{n} took {f} by the hand, and they ran together.",
         '{n} smiled. "We can finish side by side."'],
        ["They crossed the line at the same time, and everybody cheered.", "They came in together, and both got a prize.",
         "They both won, and they were both happy."],
    ]),
    "night": (["brave"], [
        ["{n} was afraid of {fear}.", "There was one thing {n} did not like: {fear}.", "{n} was brave, but {s} was afraid of {fear}."],
        ['"What if something bad happens?" {s} thought.', "{P} knees shook when {s} only thought of it.", "{S} did not tell anybody about it."],
        ["One day, {f} called for help near {place}.", "One night, {n} heard {f} calling from {place}.",
         "One evening, {f} did not come home from {place}."],
        ["To help {f}, {n} had to face {fear}.", "{n} knew that only {s} could help.", '"I have to go," thought {n}, "even if I am afraid."'],
        ["{S} took a deep breath and counted to three.", "{S} held {p} {obj} tight and went.", "{S} took a small lamp and went out."],
        ["{P} heart went boom, boom, boom.", "Step by step, {n} went on.", "It was not as bad as {s} had thought."],
        ["There was {f}, safe but alone. \"You came!\" {fs} said.", "Then {s} found {f} sitting on a stone.",
         "{S} found {f} and took {o_f} by the hand."],
        ['"I was afraid too," said {f}. "But you came, and now I am not."', '"You are the bravest {k} I know," said {f}.',
         '"Were you not afraid?" asked {f}. "I was," said {n}, "but I wanted to help you."'],
        ["Together they walked home.", "They went home side by side and sang a song.", "They went back and drank warm milk."],
    ]),
    "grow": (["patient"], [
        ["One {season} day, {n} got a tiny seed from {p} {elder}.", "One day, the {helper} gave {n} a seed.",
         "One day, {n} found a little seed in {place}."],
        ["{S} put it into the ground and gave it water.", "{n} made a small hole in the garden and put the seed in.",
         "{n} planted it in {a_col} pot."],
        ["The next day, {s} looked, but there was nothing.", "{n} waited and waited, but nothing came up.",
         "{S} looked every hour, but the ground was still bare."],
        ['"Why does it not grow?" {s} asked.', '"It is broken," said {n} sadly.', '"Maybe it does not like me," said {n}.'],
        ["\"Seeds need water, sun and time,\" said {f}.", '"Wait a little longer," said {p} {elder}.', '"You must be patient," said {f} the {fk}.'],
        ["So every morning, {n} gave it water.", "So {n} watered it each day and sang to it.", "{n} kept it safe from the wind and the snails."],
        ["One morning, there was a small green leaf!", "After many days, a tiny green tip came out of the ground.",
         "Then, after the rain, a little green plant stood there."],
        ["It grew and grew, and it became a big {flower}.", "Week after week, it grew. It was a {flower}!",
         "In the {season2}, it was a tall {flower}."],
        ["{n} showed it to everyone with a proud smile.", "Everybody came to see it.", "{f} said that it was the finest {flower} in the land."],
    ]),
    "wish": (["help", "share"], [
        ["One night, {n} saw a star fall from the sky.", "One night, {n} saw a bright light in {place}.", "One evening, {n} met a tiny fairy in {place}."],
        ['"You have one wish," said a soft voice.', 'A soft voice said, "I will give you one wish."', '"Make a wish," said the voice, "but only one."'],
        ["{n} thought of {a_obj}.", "{n} wanted to wish for a mountain of {food}.", "First {n} thought of a big house full of toys."],
        ["Then {s} thought of {f}, {fkintro}.", "But then {s} saw {f} across the road.", "But then {s} remembered {p} friend {f}."],
        ["{f} had been ill for a long time.", "{f} had lost {fp} home in the storm.", "{f} was sad because {fs} could not walk."],
        ['"I wish that {f} will be happy and well," said {n}.', '{n} closed {p} eyes. "I wish for {f} to be well again."',
         '"Please help my friend {f}," {s} whispered.'],
        ["There was a flash, and then everything was quiet.", "The light danced around and was gone.", "The star shone bright for a moment."],
        ["The next morning, {f} came running. \"I feel wonderful!\" {fs} said.", "In the morning, {f} stood at the door and laughed.",
         "When the sun came up, {f} was well and jumped for joy."],
        ["{n} never told anyone about the wish.", "{n} just smiled.", '"I have no toys," thought {n}, "but I have my friend."'],
    ]),
}

TOPICS = {
    "lost": ["a lost {obj}", "a {col} {obj}"], "share": ["sharing", "{fruits}"], "skill": ["learning to {skill}", "not giving up"],
    "stuck": ["helping a friend", "being kind"], "storm": ["a storm", "helping a friend"],
    "treasure": ["{a_treasure}", "finding something"], "cook": ["{food}", "a birthday"],
    "newcomer": ["a new friend", "friendship"], "broken": ["telling the truth", "an accident"], "race": ["a race", "running"],
    "night": ["being brave", "{fear}"], "grow": ["a seed", "a {flower}"], "wish": ["a wish", "a star"],
}
TITLES = {
    "lost": "The Lost {Obj}", "share": "A Basket of {Fruits}", "skill": "Learning to {Skill}", "stuck": "A Cry for Help",
    "storm": "The Big Storm", "treasure": "The {Treasure}", "cook": "A Surprise for Everyone", "newcomer": "A New Friend",
    "broken": "The Truth", "race": "The Big Race", "night": "A Brave Heart", "grow": "The Little Seed", "wish": "One Wish",
}


def article(words):
    """`words` with "a" or "an" before it."""
    return ("an " if words[0] in "aeiou" else "a ") + words


def character(rng, kind=None, not_name=None):
    """A character: name, kind ("girl", "fox"), pronouns and the phrases that introduce it."""
    kind = kind or (rng.choice(["girl", "boy"]) if rng.random() < 0.45 else rng.choice(ANIMALS))
    female = kind == "girl" if kind in ("girl", "boy") else rng.random() < 0.5
    if kind in ("girl", "boy"):
        names = GIRLS if female else BOYS
    else:
        names = PETS_F if female else PETS_M
    name = rng.choice([n for n in names if n != not_name])
    trait = rng.choice(TRAITS)
    pronouns = ("she", "her", "her") if female else ("he", "him", "his")
    return {"name": name, "kind": kind, "trait": trait, "subject": pronouns[0], "object": pronouns[1],
            "possessive": pronouns[2], "kintro": article(f"{trait} {kind}"),
            "intro": article(f"{trait} {kind} named {name}")}


def story(rng, kind=None):
    """One story as `(text, title, topics)`: topics are phrases that could have asked for it."""
    hero = character(rng, kind)
    friend = character(rng, not_name=hero["name"])
    plot = rng.choice(list(PLOTS))
    moral_keys, beats = PLOTS[plot]
    female_elder = rng.random() < 0.5
    elder = rng.choice(ELDERS_F if female_elder else ELDERS_M)
    col, obj, treasure = rng.choice(COLOURS), rng.choice(TOYS), rng.choice(TREASURES)
    place, place2 = rng.sample(PLACES, 2)
    skill, fruits = rng.choice(SKILLS), rng.choice(FRUITS)
    seasons = rng.sample(["spring", "summer", "autumn"], 2)
    slots = {
        "n": hero["name"], "k": hero["kind"], "intro": hero["intro"], "kintro": hero["kintro"], "s": hero["subject"],
        "o": hero["object"], "p": hero["possessive"], "S": hero["subject"].capitalize(), "P": hero["possessive"].capitalize(),
        "f": friend["name"], "fk": friend["kind"], "fintro": friend["intro"], "fkintro": friend["kintro"], "fs": friend["subject"],
        "o_f": friend["object"], "fp": friend["possessive"], "F_s": friend["subject"].capitalize(),
        "F_p": friend["possessive"].capitalize(), "elder": elder, "es2": "she" if female_elder else "he",
        "col": col, "a_col": article(col), "obj": obj, "Obj": obj.capitalize(), "a_obj": article(f"{col} {obj}"), "treasure": treasure,
        "Treasure": treasure.title(), "a_treasure": article(treasure), "place": place, "place2": place2, "skill": skill,
        "Skill": skill.title(), "fruits": fruits, "Fruits": fruits.capitalize(), "food": rng.choice(FOODS),
        "home": rng.choice(HOMES), "likes": rng.choice(LIKES), "helper": rng.choice(HELPERS), "fear": rng.choice(FEARS),
        "flower": rng.choice(FLOWERS), "season": seasons[0], "season2": seasons[1],
        "wday": rng.choice("Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()),
        "adj_day": rng.choice("sunny warm cold rainy bright fine".split()),
    }
    # The adviser of the "skill" plot is whoever the sentence before named.
    texts = [rng.choice(OPENINGS), rng.choice(SECONDS)]
    introduced = "{fintro}" in texts[1]
    for group in beats:
        text = rng.choice(group)
        if "{es}" in text:
            slots["es"] = slots["es2"] if "{elder}" in texts[-1] else slots["fs"]
        if introduced:  # a friend who is known already is not introduced twice
            text = text.replace("{fintro}", "{f}").replace("{f}, {fkintro}.", "{f}.")
        elif not any(form in text for form in ("{fintro}", "{f} the {fk}", "{fkintro}", "{f}'s")) and "{f}" in text:
            text = text.replace("{f}", "{f} the {fk}", 1)
            introduced = True
        introduced = introduced or "{fintro}" in text or "{f} the {fk}" in text or "{fkintro}" in text
        texts.append(text)
    texts += [rng.choice(MORALS[rng.choice(moral_keys)]) if rng.random() < 0.8 else "", rng.choice(CLOSINGS)]
    body = " ".join(text.format(**slots) for text in texts if text)
    topics = [article(hero["kind"]), article(hero["kind"]), f"{article(hero['kind'])} named {hero['name']}",
              f"{article(hero['kind'])} and {article(friend['kind'])}"]
    topics += [t.format(**slots) for t in TOPICS[plot]]
    return body, TITLES[plot].format(**slots), topics
