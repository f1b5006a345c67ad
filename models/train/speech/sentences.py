"""Everyday sentences in many languages, put together from our own short lists of words."""
# ruff: noqa: RUF001 (Cyrillic and Turkish letters that look like Latin ones)

import numpy as np

_EN = (
    "my father|the baby|our neighbour|a woman|the old man|everybody|Bob|Mary|the president|"
    "your brother|people|we|they|you|Pam|the farmer|a good friend|Peter|my family|the boys|"
    "Martha|nobody|the people of Maine|a young lawyer|his mother|the workers|Beth|Vivian",
    "bought|wanted|found|put away|believes in|remembers|has been painting|will move|opened|loved|"
    "is looking for|could not see|gave us|always brings|might borrow|never mentioned|broke|"
    "should have built|carried|watched|voted for|measured|is proud of|heard about|threw away|"
    "would prefer|keeps|asked for|happily shared|forgot",
    "five purple apples|the big map|a new job|their home by the river|some warm bread|"
    "the blue bowl|a measure of hope|every village in the valley|a very small problem|"
    "more money|good weather|the whole story|another cup of coffee|a beautiful white boat|"
    "those heavy boxes|the front door|fresh vegetables|a piece of music|the bill|"
    "my favourite shoes|enough food|health care|a bottle of milk|his own voice|"
    "the future of this family|eight wooden chairs|a yellow umbrella|fifty dollars|"
    "the library|an awful mess|a question of power|the phone",
    "on Monday morning|before the meeting|with both hands|because of the rain|in a few months|"
    "at the back of the shop|if it is possible|for the first time|every evening|without a word|"
    "and that is why we have to work together|so maybe we can go home now|from time to time|"
    "over the bridge|as soon as possible|after all these years|but I do not know how|"
    "when the summer is over|under the tree|right here in America",
)
_PARTS: dict[str, tuple[str, str, str, str]] = {
    "en-us": _EN,
    "en": _EN,
    "de": (
        "mein Vater|die Mutter|der Bäcker|unser Nachbar|eine junge Frau|das Baby|Opa|Uwe|"
        "die Köchin|mein Bruder|der Bürgermeister|niemand|Frau Möller",
        "kauft|braucht|findet|bemalt|öffnet|vergisst|bringt|möchte|verspricht|sucht|"
        "hört|probiert|bezahlt|beobachtet",
        "fünf rote Äpfel|ein schönes Buch|das neue Haus|den blauen Pullover|eine Suppe|"
        "die schwere Tür|frisches Gemüse|zwölf Brötchen|einen Becher Milch|das kühle Wasser|"
        "die ganze Wahrheit|ein paar Blumen|den Schlüssel|seine Freunde",
        "am frühen Morgen|auf dem Weg nach Hause|mit beiden Händen|wegen des Regens|"
        "im Sommer|ohne ein Wort|über die Brücke|und dann gehen wir nach Hause|"
        "vor dem Essen|obwohl er müde ist",
    ),
    "fr": (
        "mon père|ma mère|le boulanger|notre voisin|une jeune femme|le bébé|Paul|Juliette|"
        "mon frère|le vieux monsieur|personne|le maire de la ville",
        "achète|trouve|cherche|veut|ouvre|apporte|oublie|regarde|prépare|peint|goûte|promet|"
        "attend|demande",
        "cinq pommes rouges|un beau livre|la nouvelle maison|un peu de beurre|du bon pain|"
        "une soupe chaude|la lourde porte|des légumes frais|un verre de lait|l'eau froide|"
        "toute la vérité|deux bouteilles de vin|les fleurs jaunes|son manteau bleu",
        "le lundi matin|avant le repas|avec les deux mains|à cause de la pluie|en été|"
        "sans un mot|sur le pont|et puis nous rentrons chez nous|depuis longtemps|"
        "dans un petit village|parce qu'il fait beau",
    ),
    "es": (
        "mi padre|la madre|el panadero|nuestro vecino|una mujer joven|el bebé|Pablo|María|"
        "mi hermano|el viejo|nadie|la gente del pueblo",
        "compra|busca|encuentra|quiere|abre|trae|olvida|mira|prepara|pinta|prueba|promete|"
        "espera|pide",
        "cinco manzanas rojas|un libro hermoso|la casa nueva|un poco de pan|una sopa caliente|"
        "la puerta grande|verduras frescas|un vaso de leche|el agua fría|toda la verdad|"
        "dos botellas de vino|las flores amarillas|su abrigo azul|mucho trabajo",
        "el lunes por la mañana|antes de comer|con las dos manos|por culpa de la lluvia|"
        "en verano|sin decir palabra|sobre el puente|y luego volvemos a casa|"
        "en un pueblo pequeño|porque hace buen tiempo",
    ),
    "it": (
        "mio padre|la mamma|il fornaio|il nostro vicino|una giovane donna|il bambino|Paolo|"
        "Giulia|mio fratello|il vecchio|nessuno|la gente del posto",
        "compra|cerca|trova|vuole|apre|porta|dimentica|guarda|prepara|dipinge|prova|promette|"
        "aspetta|chiede",
        "cinque mele rosse|un bel libro|la casa nuova|un po' di pane|una zuppa calda|"
        "la porta pesante|verdure fresche|un bicchiere di latte|l'acqua fredda|"
        "tutta la verità|due bottiglie di vino|i fiori gialli|il suo cappotto blu",
        "lunedì mattina|prima di mangiare|con le due mani|per colpa della pioggia|in estate|"
        "senza una parola|sul ponte|e poi torniamo a casa|in un piccolo villaggio|"
        "perché fa bel tempo",
    ),
    "pt": (
        "o meu pai|a minha mãe|o padeiro|o nosso vizinho|uma mulher jovem|o bebé|Paulo|Maria|"
        "o meu irmão|o velho|ninguém|o povo da vila",
        "compra|procura|encontra|quer|abre|traz|esquece|vê|prepara|pinta|prova|promete|espera|pede",
        "cinco maçãs vermelhas|um livro bonito|a casa nova|um pouco de pão|uma sopa quente|"
        "a porta grande|legumes frescos|um copo de leite|a água fria|toda a verdade|"
        "duas garrafas de vinho|as flores amarelas|o seu casaco azul",
        "na segunda de manhã|antes de comer|com as duas mãos|por causa da chuva|no verão|"
        "sem uma palavra|sobre a ponte|e depois voltamos para casa|numa vila pequena|"
        "porque faz bom tempo",
    ),
    "nl": (
        "mijn vader|de moeder|de bakker|onze buurman|een jonge vrouw|de baby|Pieter|opa|"
        "mijn broer|de burgemeester|niemand|mevrouw de Boer",
        "koopt|zoekt|vindt|wil|opent|brengt|vergeet|bekijkt|proeft|schildert|belooft|gebruikt|"
        "vraagt om|hoort",
        "vijf rode appels|een mooi boek|het nieuwe huis|een beetje boter|een warme soep|"
        "de zware deur|verse groenten|een beker melk|het koude water|de hele waarheid|"
        "twee flessen wijn|de gele bloemen|zijn blauwe jas|veel geluk",
        "op maandagochtend|voor het eten|met beide handen|door de regen|in de zomer|"
        "zonder een woord|over de brug|en dan gaan we naar huis|in een klein dorp|"
        "omdat het mooi weer is",
    ),
    "pl": (
        "mój ojciec|mama|piekarz|nasz sąsiad|młoda kobieta|dziecko|Paweł|babcia|mój brat|"
        "stary pan|nikt|pani Basia",
        "kupuje|szuka|maluje|otwiera|przynosi|pamięta|ogląda|próbuje|obiecuje|znajduje|"
        "lubi|sprzedaje",
        "pięć czerwonych jabłek|piękną książkę|nowy dom|trochę masła|ciepłą zupę|"
        "ciężkie drzwi|świeże warzywa|szklankę mleka|zimną wodę|całą prawdę|"
        "dwie butelki wina|żółte kwiaty|niebieski płaszcz",
        "w poniedziałek rano|przed obiadem|obiema rękami|z powodu deszczu|w lecie|bez słowa|"
        "na moście|a potem idziemy do domu|w małej wsi|bo jest ładna pogoda",
    ),
    "ru": (
        "мой папа|мама|пекарь|наш сосед|молодая женщина|ребёнок|Павел|бабушка|мой брат|"
        "старый человек|никто|Вера",
        "покупает|ищет|находит|хочет|открывает|приносит|забывает|смотрит на|пробует|рисует|"
        "любит|продаёт",
        "пять красных яблок|новый дом|немного масла|тёплый хлеб|тяжёлое окно|свежие овощи|"
        "чашку молока|большое озеро|всю правду|жёлтые цветы|синее пальто|много работы",
        "в понедельник утром|перед обедом|двумя руками|из-за дождя|летом|без слова|на мосту|"
        "а потом мы идём домой|в маленькой деревне|потому что погода хорошая",
    ),
    "cs": (
        "můj otec|maminka|pekař|náš soused|mladá žena|dítě|Pavel|babička|můj bratr|starý pán|"
        "nikdo|paní Boženka",
        "kupuje|hledá|maluje|otvírá|přinese|zapomene|vidí|zkouší|slibuje|najde|prodává|chce",
        "pět červených jablek|pěknou knihu|nový dům|trochu másla|teplou polévku|těžké dveře|"
        "čerstvou zeleninu|hrnek mléka|studenou vodu|celou pravdu|dvě lahve vína|"
        "žluté květiny|modrý kabát",
        "v pondělí ráno|před obědem|oběma rukama|kvůli dešti|v létě|beze slova|na mostě|"
        "a potom jdeme domů|v malé vesnici|protože je hezky",
    ),
    "tr": (
        "babam|annem|fırıncı|komşumuz|genç bir kadın|bebek|Ayşe|dedem|kardeşim|"
        "yaşlı adam|hiç kimse|Mehmet bey",
        "pazartesi sabahı|yemekten önce|yağmur yüzünden|yazın|köprünün üstünde|"
        "küçük bir köyde|her akşam|iki eliyle|bugün",
        "beş kırmızı elma|güzel bir kitap|yeni evi|biraz ekmek|sıcak bir çorba|"
        "büyük kapıyı|taze sebze|bir bardak süt|soğuk suyu|bütün gerçeği|"
        "sarı çiçekleri|mavi paltoyu",
        "alıyor|arıyor|buluyor|istiyor|açıyor|getiriyor|unutuyor|görüyor|seviyor|"
        "boyuyor ve sonra eve gidiyor|satıyor",
    ),
    "hu": (
        "az apám|az anyám|a pék|a szomszédunk|egy fiatal nő|a baba|Pista|nagymama|a bátyám|"
        "az öreg bácsi|senki|Böbe",
        "vesz|keres|talál|kér|hoz|fest|lát|elad|főz|kap",
        "öt piros almát|egy szép könyvet|új házat|egy kis vajat|meleg levest|friss zöldséget|"
        "egy pohár tejet|hideg vizet|két üveg bort|sárga virágot|kék kabátot",
        "hétfőn reggel|ebéd előtt|két kézzel|az eső miatt|nyáron|szó nélkül|a hídon|"
        "és utána hazamegyünk|egy kis faluban|mert szép idő van",
    ),
    "sv": (
        "min pappa|mamma|bagaren|vår granne|en ung kvinna|Björn|mormor|min bror|ingen|"
        "den gamle mannen",
        "köper|söker|hittar|öppnar|bär|glömmer|provar|målar|lovar|behöver",
        "fem röda äpplen|en vacker bok|det nya huset|lite smör|en varm soppa|"
        "den tunga dörren|ett glas mjölk|de gula blommorna|sin blå rock",
        "på måndag morgon|före maten|med båda händerna|på sommaren|utan ett ord|"
        "över bron|och sedan går vi hem|i en liten by",
    ),
    "fi": (
        "isäni|äiti|leipuri|naapurimme|nuori nainen|vauva|Pekka|mummo|veljeni|kukaan",
        "ostaa|etsii|löytää|haluaa|avaa|tuo|unohtaa|maalaa|maistaa|lupaa",
        "viisi punaista omenaa|kauniin kirjan|uuden talon|vähän voita|lämmintä keittoa|"
        "raskaan oven|lasin maitoa|kylmää vettä|keltaiset kukat|sinisen takin",
        "maanantaiaamuna|ennen ruokaa|molemmin käsin|sateen vuoksi|kesällä|sanomatta mitään|"
        "sillalla|ja sitten menemme kotiin|pienessä kylässä",
    ),
}
LANGUAGES = tuple(_PARTS)
_GRID = (
    "bin lay place set".split(),
    "blue green red white".split(),
    "at by in with".split(),
    list("abcdefghijklmnopqrstuvxyz"),
    "zero one two three four five six seven eight nine".split(),
    "again now please soon".split(),
)


def sentence(rng: np.random.Generator, language: str = "en-us") -> str:
    """A sentence of everyday words; of English ones, every tenth is of letters and digits.

    Raises:
        ValueError: there are no words of this language.
    """
    if language not in _PARTS:
        raise ValueError(f"no sentences in {language!r}, expected one of {LANGUAGES}")

    def pick(words: list[str]) -> str:
        return words[rng.integers(len(words))]

    if language.startswith("en") and rng.random() < 0.1:
        return " ".join(pick(w) for w in _GRID)
    lists = [part.split("|") for part in _PARTS[language]]
    whole = rng.random() < 0.8
    text = " ".join(pick(words) for words in (lists if whole else lists[:3]))
    if rng.random() < 0.4:
        text += ", " + " ".join(pick(words) for words in lists)
    return text
